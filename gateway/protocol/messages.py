"""Every message of the protocol, with the field names of the wire.

Payloads are `msgspec.Raw`: in JSON a piece of JSON text, in Protobuf any bytes; nobody re-encodes them. Zero values are left
out of what is sent, except where a field has no default here. Unknown fields of requests are ignored.
"""

from typing import Final

import msgspec
from msgspec import Raw

from gateway.protocol.errors import Error

__all__ = [
    "NO_DATA",
    "ClientInfo",
    "Command",
    "ConnectRequest",
    "ConnectResult",
    "DisconnectPush",
    "Empty",
    "EmulationRequest",
    "FilterNode",
    "HistoryRequest",
    "HistoryResult",
    "Message",
    "PresenceRequest",
    "PresenceResult",
    "PresenceStatsResult",
    "Publication",
    "PublishRequest",
    "Push",
    "RefreshRequest",
    "RefreshResult",
    "Reply",
    "RpcRequest",
    "RpcResult",
    "StreamPosition",
    "SubRefreshRequest",
    "SubRefreshResult",
    "SubscribePush",
    "SubscribeRequest",
    "SubscribeResult",
    "UnsubscribePush",
    "UnsubscribeRequest",
    "raw",
]

NO_DATA: Final = Raw()


def raw(data: bytes) -> Raw:
    """Wrap a payload; the shared empty one counts as absent and is left out."""
    return Raw(data) if data else NO_DATA


class _Message(msgspec.Struct, omit_defaults=True):
    pass


class FilterNode(_Message):
    """A node of a tags filter: a leaf compares one tag (`op` empty), the others join nodes by `and`, `or`, `not`."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: list[str] = []
    nodes: list["FilterNode"] = []


class SubscribeRequest(_Message):
    """`flag` is a bit mask: 1 is channel compaction (ignored), 2 rejects unrecovered positions with error 112."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: int = 0
    data: Raw = NO_DATA
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: FilterNode | None = None
    flag: int = 0
    type: int = 0


class ConnectRequest(_Message):
    """The first command of every connection."""

    token: str = ""
    data: Raw = NO_DATA
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}


class UnsubscribeRequest(_Message):
    """Leave a channel."""

    channel: str = ""


class PublishRequest(_Message):
    """Publish from the client's side."""

    channel: str = ""
    data: Raw = NO_DATA
    type: int = 0


class PresenceRequest(_Message):
    """Ask who is in a channel, or how many."""

    channel: str = ""


class StreamPosition(_Message):
    """A place in a stream."""

    offset: int = 0
    epoch: str = ""


class HistoryRequest(_Message):
    """Read a stream; `limit` 0 asks for the position only, a negative one for everything."""

    channel: str = ""
    limit: int = 0
    since: StreamPosition | None = None
    reverse: bool = False


class RpcRequest(_Message):
    """Call a method."""

    data: Raw = NO_DATA
    method: str = ""


class SendRequest(_Message):
    """A message without a reply."""

    data: Raw = NO_DATA


class RefreshRequest(_Message):
    """A new connection token."""

    token: str = ""


class SubRefreshRequest(_Message):
    """A new subscription token."""

    channel: str = ""
    token: str = ""


class EmulationRequest(_Message):
    """What a client of a one-way transport says: `data` is a frame of its encoding, in JSON as a string."""

    node: str = ""
    session: str = ""
    data: Raw = NO_DATA


class Empty(_Message):
    """A result that says nothing but done; written as `{}`, never left out."""


class Command(_Message):
    """What a client asks. With several requests set the first in this order counts; with none and id 0 it is a pong."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceRequest | None = None
    history: HistoryRequest | None = None
    rpc: RpcRequest | None = None
    send: SendRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


class ClientInfo(_Message):
    """Who a client is; both ids are always there, the user "" for anonymous."""

    user: str
    client: str
    conn_info: Raw = NO_DATA
    chan_info: Raw = NO_DATA


class Publication(_Message):
    """A message in a channel; `offset` is absent outside a stream, `epoch` comes with offset 1 alone."""

    data: Raw
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] = {}
    delta: bool = False
    epoch: str = ""


class SubscribeResult(_Message):
    """What a subscription got; `offset` is the client's own after a recovery, else the top."""

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[Publication] = []
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: Raw = NO_DATA
    was_recovering: bool = False
    delta: bool = False


class ConnectResult(_Message):
    """What a connection got; `ping` in whole seconds, `time` in milliseconds.

    `session` and `node` are for transports without a way back: they route what the client posts to `/emulation`.
    """

    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    data: Raw = NO_DATA
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0


class PresenceResult(_Message):
    """Who is there, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(_Message):
    """How many are there."""

    num_clients: int
    num_users: int


class HistoryResult(_Message):
    """A part of a stream, and always its top."""

    publications: list[Publication]
    epoch: str
    offset: int


class RpcResult(_Message):
    """What a method answered."""

    data: Raw = NO_DATA


class RefreshResult(_Message):
    """When the new connection token has to be refreshed."""

    client: str = ""
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(_Message):
    """When the new subscription token has to be refreshed."""

    expires: bool = False
    ttl: int = 0


class Membership(_Message):
    """A join or a leave."""

    info: ClientInfo


class UnsubscribePush(_Message):
    """The server took the client out of a channel."""

    code: int
    reason: str


class SubscribePush(_Message):
    """The server subscribed the client at run time."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = NO_DATA


class DisconnectPush(_Message):
    """The server ends a connection whose transport has no close frame."""

    code: int
    reason: str


class RefreshPush(_Message):
    """The server prolonged the connection."""

    expires: bool = False
    ttl: int = 0


class Message(_Message):
    """A message to one client, outside of channels."""

    data: Raw


class Push(_Message):
    """What a server sends unasked."""

    channel: str = ""
    pub: Publication | None = None
    join: Membership | None = None
    leave: Membership | None = None
    unsubscribe: UnsubscribePush | None = None
    message: Message | None = None
    subscribe: SubscribePush | None = None
    refresh: RefreshPush | None = None
    connect: ConnectResult | None = None
    disconnect: DisconnectPush | None = None


class Reply(_Message):
    """The answer to one command, or a push without id."""

    id: int = 0
    error: Error | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Empty | None = None
    publish: Empty | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    rpc: RpcResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None
