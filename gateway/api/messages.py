"""Requests and results of the data and connection methods, with the field names of Centrifugo's HTTP API.

Zero values are left out of results, except where a field has no default here.
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.protocol.messages import NO_DATA, ClientInfo

__all__ = [
    "BatchRequest",
    "BatchResult",
    "BroadcastRequest",
    "BroadcastResult",
    "ChannelInfo",
    "ChannelRequest",
    "ChannelsRequest",
    "ChannelsResult",
    "DisconnectRequest",
    "EmptyRequest",
    "EmptyResult",
    "HistoryApiResult",
    "HistoryPublication",
    "HistoryRequest",
    "InfoResult",
    "PresenceApiResult",
    "PresenceStatsApiResult",
    "PublishRequest",
    "PublishResult",
    "RefreshRequest",
    "SubscribeRequest",
    "UnsubscribeRequest",
]


class _Message(msgspec.Struct, omit_defaults=True):
    pass


class PublishRequest(_Message):
    """`b64data` wins over `data`; `skip_history` delivers without offset."""

    channel: str = ""
    data: Raw = NO_DATA
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class BroadcastRequest(_Message):
    """One publication to many channels; idempotency and versions count per channel."""

    channels: list[str] = []
    data: Raw = NO_DATA
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class PublishResult(_Message):
    """Where it stands in the stream; nothing where there is none."""

    offset: int = 0
    epoch: str = ""


class BroadcastResponse(_Message):
    """What became of it in one channel: a result or an error."""

    result: PublishResult | None = None
    error: Any = None


class BroadcastResult(_Message):
    """One response per channel, in the order asked."""

    responses: list[BroadcastResponse]


class ChannelRequest(_Message):
    """Names a channel."""

    channel: str = ""


class EmptyRequest(_Message):
    """Asks for nothing in particular."""


class EmptyResult(_Message):
    """Done."""


class PresenceApiResult(_Message):
    """Who is there, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsApiResult(_Message):
    """How many are there."""

    num_clients: int
    num_users: int


class StreamPosition(_Message):
    """A place in a stream."""

    offset: int = 0
    epoch: str = ""


class HistoryRequest(_Message):
    """Reads a stream; without the cap that clients have."""

    channel: str = ""
    limit: int = 0
    since: StreamPosition | None = None
    reverse: bool = False


class HistoryPublication(_Message):
    """One publication of the past; bytes that are no JSON come as `b64data` instead of `data`."""

    data: Raw = NO_DATA
    b64data: str = ""
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] = {}


class HistoryApiResult(_Message):
    """A part of a stream and its top."""

    publications: list[HistoryPublication]
    offset: int
    epoch: str


class ChannelsRequest(_Message):
    """A glob over channel names; `*` crosses colons, empty means all."""

    pattern: str = ""


class ChannelInfo(msgspec.Struct):
    """How many clients a channel has."""

    num_clients: int


class ChannelsResult(_Message):
    """Channels with subscribers now."""

    channels: dict[str, ChannelInfo]


class InfoResult(_Message):
    """Every node of the fleet (`broker.control.NodeInfo`)."""

    nodes: list[Any]


class OverrideFlag(_Message):
    """One option set."""

    value: bool = False


class SubscribeRequest(_Message):
    """Subscribe a user's connections from the server's side."""

    user: str = ""
    channel: str = ""
    client: str = ""
    session: str = ""
    info: Raw = NO_DATA
    b64info: str = ""
    data: Raw = NO_DATA
    b64data: str = ""
    expire_at: int = 0
    recover_since: StreamPosition | None = None
    override: dict[str, OverrideFlag] = {}


class UnsubscribeRequest(_Message):
    """Take a user's connections out of a channel."""

    user: str = ""
    channel: str = ""
    client: str = ""
    session: str = ""


class DisconnectObject(_Message):
    """The code and reason that clients see."""

    code: int = 0
    reason: str = ""


class DisconnectRequest(_Message):
    """Close a user's connections."""

    user: str = ""
    client: str = ""
    session: str = ""
    whitelist: list[str] = []
    disconnect: DisconnectObject | None = None


class RefreshRequest(_Message):
    """Prolong a user's connections, or end them."""

    user: str = ""
    client: str = ""
    session: str = ""
    expired: bool = False
    expire_at: int = 0
    info: Raw = NO_DATA


class BatchRequest(_Message):
    """Several calls in one; each an object with the method's name as its one key."""

    commands: list[dict[str, Raw] | None] = []
    parallel: bool = False


class BatchResult(_Message):
    """One reply per command, in their order: under the method's name its result, or an `error`."""

    replies: list[dict[str, Any]]
