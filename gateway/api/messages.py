"""Requests and results of the data and connection methods, with the field names of Centrifugo's HTTP API.

Zero values are left out of results, except where a field has no default here.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from broker.control import NodeInfo
from gateway.api.errors import ApiError
from gateway.protocol.messages import NO_DATA, ClientInfo

__all__ = [
    "BatchRequest",
    "BatchResult",
    "BlockUserRequest",
    "BroadcastRequest",
    "BroadcastResponse",
    "BroadcastResult",
    "ChannelContext",
    "ChannelInfo",
    "ChannelRequest",
    "ChannelsRequest",
    "ChannelsResult",
    "Connection",
    "ConnectionState",
    "ConnectionToken",
    "ConnectionsRequest",
    "ConnectionsResult",
    "DisconnectObject",
    "DisconnectRequest",
    "EmptyRequest",
    "EmptyResult",
    "HistoryApiResult",
    "HistoryPublication",
    "HistoryRequest",
    "InfoResult",
    "InvalidateUserTokensRequest",
    "OverrideFlag",
    "PresenceApiResult",
    "PresenceStatsApiResult",
    "PublishRequest",
    "PublishResult",
    "RefreshRequest",
    "RevokeTokenRequest",
    "RpcRequest",
    "RpcResult",
    "ShedNode",
    "ShedRequest",
    "ShedResult",
    "StreamPosition",
    "SubscribeRequest",
    "UnblockUserRequest",
    "UnsubscribeRequest",
]

# What fields mean, for the OpenAPI document. `is_required` marks those that must not be left empty although they have a
# zero value here: leaving them out is error 107 as in Centrifugo, not an unreadable body.
_NEEDED = {"is_required": True}
_SAFE = 2**53  # the largest whole number that every JSON reader keeps

_Channel = Annotated[str, Meta(description="Name of the channel, with its namespace: `chat:lobby`.", extra=_NEEDED)]
_Data = Annotated[Raw, Meta(description="Payload: any JSON.")]
_B64Data = Annotated[str, Meta(description="Payload as base64, for bytes that are no JSON; wins over `data`.")]
_Info = Annotated[Raw, Meta(description="JSON about the connection that others see in presence and joins.")]
_B64Info = Annotated[str, Meta(description="The same as base64; wins over `info`.")]
_SkipHistory = Annotated[bool, Meta(description="Deliver without keeping it in the stream, so without offset.")]
_Tags = Annotated[dict[str, str], Meta(description="Texts beside the payload, which subscribers may filter by.")]
_IdempotencyKey = Annotated[
    str, Meta(description="A repeat with the same key within five minutes publishes nothing and answers as the first did.")
]
_Delta = Annotated[bool, Meta(description="Send it as a patch to subscribers that asked for patches.")]
_Version = Annotated[
    int, Meta(ge=0, le=_SAFE, description="Drop it unless this is above the version that the stream had last; 0 for none.")
]
_VersionEpoch = Annotated[str, Meta(description="Versions are compared within the same epoch only.")]
_Offset = Annotated[int, Meta(ge=0, le=_SAFE, description="Place in the stream; the first publication has 1.")]
_Epoch = Annotated[str, Meta(description="Life of the stream; offsets of different epochs cannot be compared.")]
_Count = Annotated[int, Meta(ge=0)]
_User = Annotated[str, Meta(description="Whose connections; empty means anonymous ones.")]
_SomeUser = Annotated[str, Meta(description="Id of the user.", extra=_NEEDED)]
_ClientId = Annotated[str, Meta(description="Only the connection with this client id.")]
_SessionId = Annotated[str, Meta(description="Only the connection with this session id.")]
_ExpireAt = Annotated[int, Meta(ge=0, le=_SAFE, description="When it ends, in Unix seconds; 0 for never.")]
_Until = Annotated[int, Meta(ge=0, le=_SAFE, description="When the word is forgotten, in Unix seconds; 0 for never.")]


class _Message(msgspec.Struct, omit_defaults=True):
    pass


class PublishRequest(_Message):
    """`b64data` wins over `data`; `skip_history` delivers without offset."""

    channel: _Channel = ""
    data: _Data = NO_DATA
    b64data: _B64Data = ""
    skip_history: _SkipHistory = False
    tags: _Tags = {}
    idempotency_key: _IdempotencyKey = ""
    delta: _Delta = False
    version: _Version = 0
    version_epoch: _VersionEpoch = ""


class BroadcastRequest(_Message):
    """One publication to many channels; idempotency and versions count per channel."""

    channels: Annotated[list[str], Meta(description="Names of the channels.", extra=_NEEDED)] = []
    data: _Data = NO_DATA
    b64data: _B64Data = ""
    skip_history: _SkipHistory = False
    tags: _Tags = {}
    idempotency_key: _IdempotencyKey = ""
    delta: _Delta = False
    version: _Version = 0
    version_epoch: _VersionEpoch = ""


class PublishResult(_Message):
    """Where it stands in the stream; nothing where there is none."""

    offset: _Offset = 0
    epoch: _Epoch = ""


class BroadcastResponse(_Message):
    """What became of it in one channel: a result or an error."""

    result: PublishResult | None = None
    error: ApiError | None = None


class BroadcastResult(_Message):
    """One response per channel, in the order asked."""

    responses: list[BroadcastResponse]


class ChannelRequest(_Message):
    """Names a channel."""

    channel: _Channel = ""


class EmptyRequest(_Message):
    """Asks for nothing in particular."""


class EmptyResult(_Message):
    """Done."""


class PresenceApiResult(_Message):
    """Who is there, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsApiResult(_Message):
    """How many are there."""

    num_clients: _Count
    num_users: _Count


class StreamPosition(_Message):
    """A place in a stream."""

    offset: _Offset = 0
    epoch: _Epoch = ""


class HistoryRequest(_Message):
    """Reads a stream; without the cap that clients have."""

    channel: _Channel = ""
    limit: Annotated[int, Meta(ge=-(2**31), lt=2**31, description="At most so many; 0 for the top only, below 0 for all.")] = 0
    since: Annotated[StreamPosition | None, Meta(description="Only what came after this place (before it in reverse).")] = None
    reverse: Annotated[bool, Meta(description="Newest first.")] = False


class HistoryPublication(_Message):
    """One publication of the past; bytes that are no JSON come as `b64data` instead of `data`."""

    data: _Data = NO_DATA
    b64data: _B64Data = ""
    info: ClientInfo | None = None
    offset: _Offset = 0
    tags: _Tags = {}


class HistoryApiResult(_Message):
    """A part of a stream and its top."""

    publications: list[HistoryPublication]
    offset: _Offset
    epoch: _Epoch


class ChannelsRequest(_Message):
    """A glob over channel names; `*` crosses colons, empty means all."""

    pattern: Annotated[str, Meta(description="Such as `chat:*` or `{news,chat}:*`.")] = ""


class ChannelInfo(msgspec.Struct):
    """How many clients a channel has."""

    num_clients: _Count


class ChannelsResult(_Message):
    """Channels with subscribers now."""

    channels: dict[str, ChannelInfo]


class InfoResult(_Message):
    """Every node of the fleet."""

    nodes: list[NodeInfo]


class OverrideFlag(_Message):
    """One option set."""

    value: bool = False


class SubscribeRequest(_Message):
    """Subscribe a user's connections from the server's side."""

    user: _User = ""
    channel: _Channel = ""
    client: _ClientId = ""
    session: _SessionId = ""
    info: _Info = NO_DATA
    b64info: _B64Info = ""
    data: _Data = NO_DATA
    b64data: _B64Data = ""
    expire_at: _ExpireAt = 0
    recover_since: Annotated[StreamPosition | None, Meta(description="Deliver what came after this place.")] = None
    override: Annotated[
        dict[str, OverrideFlag],
        Meta(
            description="Options of the channel that differ here: presence, join_leave, force_push_join_leave, "
            "force_positioning, force_recovery."
        ),
    ] = {}


class UnsubscribeRequest(_Message):
    """Take a user's connections out of a channel."""

    user: _User = ""
    channel: _Channel = ""
    client: _ClientId = ""
    session: _SessionId = ""


class DisconnectObject(_Message):
    """The code and reason that clients see."""

    code: Annotated[int, Meta(description="From 3000 to 4999; 0 for 3503.")] = 0
    reason: Annotated[str, Meta(description="At most 123 bytes of text.")] = ""


class DisconnectRequest(_Message):
    """Close a user's connections."""

    user: _User = ""
    client: _ClientId = ""
    session: _SessionId = ""
    whitelist: Annotated[list[str], Meta(description="Client ids that stay.")] = []
    disconnect: Annotated[DisconnectObject | None, Meta(description="What clients are told.")] = None


class RefreshRequest(_Message):
    """Prolong a user's connections, or end them."""

    user: _User = ""
    client: _ClientId = ""
    session: _SessionId = ""
    expired: Annotated[bool, Meta(description="End them now, as expired.")] = False
    expire_at: _ExpireAt = 0
    info: _Info = NO_DATA


class ShedRequest(_Message, forbid_unknown_fields=True):
    """Sends a share of clients away, to come back elsewhere."""

    share: Annotated[float, Meta(gt=0, le=1, description="How many of each node's clients: 0.1 is a tenth.")]
    node: Annotated[str, Meta(description="Name or uid of the node that is meant, as `info` tells them; empty for all.")] = ""
    spread_s: Annotated[float, Meta(ge=0, le=3600, description="Over how many seconds they are told.")] = 10.0


class ShedNode(_Message):
    """A node that was asked."""

    uid: str
    name: str
    num_clients: Annotated[int, Meta(description="How many of its clients are sent away.")]


class ShedResult(_Message):
    """The nodes that were asked, and about how many clients each sends away."""

    nodes: list[ShedNode]


class ConnectionsRequest(_Message):
    """Asks for a user's connections."""

    user: _SomeUser = ""
    expression: Annotated[str, Meta(description="Not supported: error 108.")] = ""


class ConnectionToken(_Message):
    """What a token says of itself: its `jti`, and its `iat` in Unix seconds."""

    uid: str = ""
    issued_at: int = 0


class ChannelContext(msgspec.Struct):
    """How a connection came into a channel: 1 connection token, 2 connect proxy, 3 subscription token, 4 subscribe proxy,
    5 user-limited channel, 6 allowed by the namespace, 7 insecure mode, 8 asked for at connect, 9 personal channel,
    10 this API, 11 capability."""

    source: int


class ConnectionState(_Message):
    """What a connection has."""

    channels: dict[str, ChannelContext] = {}
    connection_token: ConnectionToken | None = None
    subscription_tokens: dict[str, ConnectionToken] = {}
    meta: Annotated[Raw, Meta(description="JSON that the token carries for the backend alone.")] = NO_DATA


class Connection(_Message):
    """One connection; `ping_pong_latency_ms` is -1 where it is unknown."""

    transport: str
    protocol: str
    connected_at_ms: int
    ping_pong_latency_ms: int
    user: str = ""
    app_name: str = ""
    app_version: str = ""
    state: ConnectionState | None = None


class ConnectionsResult(_Message):
    """Connections of the whole fleet, by client id."""

    connections: dict[str, Connection]


class RpcRequest(_Message):
    """Calls a method of the application."""

    method: Annotated[str, Meta(description="Name of the method.", extra=_NEEDED)] = ""
    params: Annotated[Raw, Meta(description="Any JSON.")] = NO_DATA


class RpcResult(_Message):
    """What the method answered."""

    data: Annotated[Raw, Meta(description="Any JSON.")] = NO_DATA


class BlockUserRequest(_Message):
    """Keeps a user out."""

    user: _SomeUser = ""
    expire_at: _Until = 0


class UnblockUserRequest(_Message):
    """Lets a user in again."""

    user: _SomeUser = ""


class RevokeTokenRequest(_Message):
    """Takes one token out of use."""

    uid: Annotated[str, Meta(description="The token's `jti`.", extra=_NEEDED)] = ""
    expire_at: _Until = 0


class InvalidateUserTokensRequest(_Message):
    """Takes a user's older tokens out of use."""

    user: _SomeUser = ""
    issued_before: Annotated[
        int, Meta(ge=0, le=_SAFE, description="Tokens whose `iat` is earlier, in Unix seconds; 0 for now.")
    ] = 0
    expire_at: _Until = 0
    channel: Annotated[str, Meta(description="Only subscription tokens for this channel.")] = ""


class BatchRequest(_Message):
    """Several calls in one; each an object with the method's name as its one key."""

    commands: Annotated[
        list[dict[str, Raw] | None], Meta(description="Each an object with one key: the method's name, and its request.")
    ] = []
    parallel: Annotated[bool, Meta(description="Run them at the same time instead of one after the other.")] = False


class BatchResult(_Message):
    """One reply per command, in their order: under the method's name its result, or an `error`."""

    replies: list[dict[str, Any]]
