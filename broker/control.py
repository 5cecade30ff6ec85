"""Port: words between nodes: what the API wants done wherever a user's connections are, and who is in the fleet."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

__all__ = [
    "Command",
    "ConnectionInfo",
    "Control",
    "Disconnect",
    "Distrust",
    "Emulate",
    "Forget",
    "NodeInfo",
    "Perform",
    "Recheck",
    "Refresh",
    "RulesChanged",
    "Selector",
    "Shed",
    "Subscribe",
    "SubscriptionInfo",
    "TokenInfo",
    "Unsubscribe",
]


class Selector(msgspec.Struct, frozen=True):
    """Which connections are meant: a user's (anonymous ones for ""), narrowed by client or session id."""

    user: str
    client: str = ""
    session: str = ""


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """Subscribe connections from the server's side."""

    who: Selector
    channel: str
    info: bytes = b""
    data: bytes = b""
    expire_at: int = 0
    since_offset: int = 0
    since_epoch: str = ""
    override: Mapping[str, bool] = {}


class Unsubscribe(msgspec.Struct, frozen=True, tag="unsubscribe"):
    """Take connections out of a channel."""

    who: Selector
    channel: str


class Disconnect(msgspec.Struct, frozen=True, tag="disconnect"):
    """Close connections, all but those on the whitelist of client ids."""

    who: Selector
    code: int
    reason: str
    whitelist: Sequence[str] = ()


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """Prolong connections, or end them (`expired`, or an `expire_at` that has passed); 0 means no expiry."""

    who: Selector
    expired: bool = False
    expire_at: int = 0
    info: bytes = b""


class Distrust(msgspec.Struct, frozen=True, tag="distrust"):
    """Look at every connection and subscription again whose token was revoked; sent after `broker.revocation` knows.

    Attributes:
        token_id: Those of this token, whoever's they are; "" for those of a user's older tokens.
        user: Whose older tokens, where `token_id` is empty.
        issued_before: Unix seconds; a token that does not say when it was issued counts as older.
        channel: Only subscription tokens for this channel; "" for all tokens.
    """

    token_id: str = ""
    user: str = ""
    issued_before: float = 0.0
    channel: str = ""


class Recheck(msgspec.Struct, frozen=True, tag="recheck"):
    """Look at every connection and subscription again, because words of `broker.revocation` were learnt late.

    Engines have their own node do so, when they find that they had missed something.
    """


class Shed(msgspec.Struct, frozen=True, tag="shed"):
    """Send a share of a node's clients away, so that they come back elsewhere.

    Attributes:
        node: Uid or name of the node that is meant; "" for every one. Several may share a name.
        share: How many of its clients, above 0 and up to 1; chosen by chance.
        spread_s: Over how many seconds they are told.
    """

    node: str
    share: float
    spread_s: float


class RulesChanged(msgspec.Struct, frozen=True, tag="rules"):
    """Read rules anew: API keys, roles or policies have another version in the store (`broker.rules`)."""

    subject: str
    version: int


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Let go of what is remembered of things that have changed (`broker.caching`).

    Attributes:
        cache: Which cache; "" for all of them, since changes may have been missed.
        tags: What has changed; nothing named means everything in the cache.
    """

    cache: str = ""
    tags: Sequence[str] = ()


class Emulate(msgspec.Struct, frozen=True, tag="emulate"):
    """Hand a frame to a client whose transport only goes down, and whose way up came to another node.

    Attributes:
        node: Uid of the node that holds the connection.
        session: The connection's session id, a secret between it and its client.
        data: The frame, in the form that the connection's encoding has in `POST /emulation`.
    """

    node: str
    session: str
    data: bytes


Command = Emulate | Subscribe | Unsubscribe | Disconnect | Refresh | Distrust | Recheck | Shed | RulesChanged | Forget


class TokenInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says of itself: its `jti` and `iat` (Unix seconds); zero values for what it does not say."""

    uid: str = ""
    issued_at: float = 0.0


class SubscriptionInfo(msgspec.Struct, frozen=True):
    """A place of a connection: the number of what gave the right to it, and its subscription token, None without."""

    source: int
    token: TokenInfo | None = None


class ConnectionInfo(msgspec.Struct, frozen=True):
    """A connection as its node knows it; `meta` is JSON, empty for none, `connected_at_ms` Unix milliseconds."""

    user: str
    app_name: str
    app_version: str
    transport: str
    protocol: str
    connected_at_ms: int
    subscriptions: Mapping[str, SubscriptionInfo] = {}
    token: TokenInfo | None = None
    meta: bytes = b""


class NodeInfo(msgspec.Struct, frozen=True):
    """What a node says of itself. Counts of users and channels are the node's own."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    num_subs: int
    uptime: int
    process: Mapping[str, Any] = {}


class Perform(Protocol):
    """The node's side of control: carry a command out on its own connections; answer for itself when asked."""

    async def perform(self, command: Command) -> None:
        """Carry it out on every matching connection here; none is no error.

        A connection that it fails on does not keep it from the others; the first failure is raised after them.
        """

    def describe(self) -> NodeInfo:
        """Tell how this node is."""

    def channels(self) -> Mapping[str, int]:
        """Tell this node's channels that have subscribers, with their number."""

    def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        """Tell a user's connections here, by client id."""


class Control(Protocol):
    """Reach every node of the fleet, this one included."""

    def on_command(self, node: Perform) -> None:
        """Say who carries commands out here; called once, before the node takes connections."""

    async def send(self, command: Command) -> None:
        """Have every node carry a command out. Returns when this node has, and the others have been told."""

    async def nodes(self) -> Sequence[NodeInfo]:
        """Ask every node how it is."""

    async def channels(self) -> Mapping[str, int]:
        """Ask every node for its channels; numbers of one channel are added up."""

    async def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        """Ask every node for a user's connections, by client id."""
