"""One client's place in one channel."""

from collections.abc import Callable, Mapping
from enum import IntEnum

import msgspec

from broker.control import TokenInfo
from gateway.auth.capabilities import NO_RIGHTS, Right
from gateway.cohort import Audience
from gateway.room import Room
from gateway.wheel import Note

__all__ = ["Grant", "Source", "Subscription", "TagsFilter"]

# Its canonical key, by which clients with the same one are known to be alike, and the filter itself.
TagsFilter = tuple[str, Callable[[Mapping[str, str]], bool]]


class Source(IntEnum):
    """What gave the right to subscribe; the numbers are those of the connections API."""

    CONNECTION_TOKEN = 1
    CONNECT_PROXY = 2
    SUBSCRIPTION_TOKEN = 3
    SUBSCRIBE_PROXY = 4
    USER_LIMITED = 5
    CLIENT_ALLOWED = 6
    INSECURE = 7
    CONNECT_REQUEST = 8
    PERSONAL = 9
    SERVER_API = 10
    CAPABILITY = 11
    POLICY = 12


class Grant(msgspec.Struct, frozen=True):
    """What a client may have of a channel, all questions of rights decided.

    Attributes:
        is_server_side: The client did not ask for it; SDKs then keep no subscription object.
        info: JSON for others to see (`chan_info`); empty for none.
        data: JSON for the client (`data` of the result).
        expire_at: Unix seconds; 0 for never.
        keeps_presence, emits_membership, wants_membership: Whether it is entered, announced, told of others.
        has_delta: Publications may come as patches of the one before.
        tags_filter: Which publications it wants, by their tags: the filter's canonical key, and the filter.
        token: The subscription token that gave the right; None without one.
        allowed: Rights in the channel that come with the subscription.
        lent: Rights that only the connection's capabilities gave, and without which the grant would be another one.
    """

    source: Source
    is_server_side: bool = False
    info: bytes = b""
    data: bytes = b""
    expire_at: int = 0
    keeps_presence: bool = False
    emits_membership: bool = False
    wants_membership: bool = False
    is_positioned: bool = False
    is_recoverable: bool = False
    recovers_cache: bool = False
    recovers_always: bool = False
    has_delta: bool = False
    tags_filter: TagsFilter | None = None
    token: TokenInfo | None = None
    allowed: Right = NO_RIGHTS
    lent: Right = NO_RIGHTS


class Subscription:
    """A granted place, taken."""

    __slots__ = ("allowed", "audience", "chan_info", "expire_at", "expiry_note", "grant", "room", "token")

    def __init__(self, grant: Grant, room: Room, audience: Audience) -> None:
        self.grant, self.room, self.audience = grant, room, audience
        self.chan_info = grant.info
        self.expire_at = grant.expire_at
        self.expiry_note: Note | None = None
        self.token = grant.token
        self.allowed = grant.allowed

    @property
    def channel(self) -> str:
        return self.room.channel

    @property
    def is_server_side(self) -> bool:
        return self.grant.is_server_side
