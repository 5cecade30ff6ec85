"""The way into a channel, whoever opened it: a command, a token, the personal channel or the API.

In two parts, so that several channels can be entered with one reply. `prepare` may wait: it registers the client in
the room, so that live publications are kept for it from then on, links the channel, reads the stream and enters
presence. `settle` and `take_place` run in one loop turn with the reply between them: what was kept is joined with
what was read, the reply is queued, and only then does the client become a member. So it never gets a publication
before its reply, nor one twice, nor misses one.
"""

import asyncio
import functools
from collections.abc import Callable

import msgspec

from broker.channels import ChannelRules, history_meta_ttl_s
from broker.errors import EngineUnavailable, PositionLost
from broker.history import History
from broker.model import ClientInfo, Join, Leave, Position, Slice
from broker.presence import Presence
from broker.pubsub import PubSub
from gateway.hub import Hub
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient, Unsubscribe
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Push, UnsubscribePush
from gateway.room import Room
from gateway.session.best_effort import BestEffort
from gateway.session.client import Client
from gateway.session.recovery import Gap, Recovery, merge, recover, recover_cache
from gateway.session.subscription import Grant, Subscription
from gateway.upstream import Upstream

__all__ = ["Asked", "Entrance", "Entrances", "Entry"]

# Once is the rule; an engine that answers ever differently must not keep anybody here.
_LEVELLED_AT_MOST = 5


class Asked(msgspec.Struct, frozen=True):
    """What the client wants back: the position it holds (None when it does not recover), and whether it insists."""

    position: Position | None = None
    rejects_unrecovered: bool = False


class Entry(msgspec.Struct, frozen=True):
    """What a client got on entering: its position where it has one, and what it missed."""

    grant: Grant
    recovery: Recovery | None
    was_recovering: bool


class Entrance:
    """A client between asking and being in. Belongs to one call; either `take_place` or `give_up` ends it."""

    __slots__ = ("asked", "client", "grant", "has_presence", "read", "room", "top")

    def __init__(self, client: Client, room: Room, grant: Grant, asked: Asked) -> None:
        self.client, self.room, self.grant, self.asked = client, room, grant, asked
        self.read: Slice | None = None
        self.top: Position | None = None  # where it stands when it is settled
        self.has_presence = False


class Entrances:
    """Leads clients into channels and out again."""

    def __init__(
        self,
        hub: Hub,
        upstream: Upstream,
        pubsub: PubSub,
        history: History,
        presence: Presence,
        rules: ChannelRules,
        *,
        recovery_limit: int,
    ) -> None:
        self._hub, self._upstream = hub, upstream
        self._pubsub, self._history, self._presence = pubsub, history, presence
        self._rules = rules
        self._recovery_limit = recovery_limit
        self._best_effort = BestEffort()
        self._heal: Callable[[Room], None] = _hold_back

    def heal_with(self, heal: Callable[[Room], None]) -> None:
        """Say who fills the gap of a room that holds publications back; called once, before anybody enters."""
        self._heal = heal

    async def prepare(self, client: Client, channel: str, grant: Grant, asked: Asked) -> Entrance:
        """Do all that may wait.

        Raises:
            ClientError: 112, when the client insists on a recovery that cannot be.
            EngineUnavailable: Nothing has changed.
        """
        room, _ = self._hub.open_room(channel)
        room.entering[client] = []
        client.subscribing.add(channel)
        entrance = Entrance(client, room, grant, asked)
        try:
            await self._upstream.link(channel)
            if grant.is_positioned:
                entrance.read = await self._read(entrance)
            if grant.keeps_presence:
                entrance.has_presence = True
                await self._presence.add(channel, _info(client, grant.info))
            await self.level(entrance)
        except BaseException:
            await self.give_up(entrance)
            raise
        return entrance

    async def level(self, *entrances: Entrance) -> None:
        """Bring rooms and whoever enters them to one place of their streams.

        A client that stood elsewhere would miss what the others have had, or get twice what they are yet to get. `prepare` ends
        with it; it is needed again where something was waited for since.

        Raises:
            EngineUnavailable: What is missing cannot be read now.
        """
        for _ in range(_LEVELLED_AT_MOST):
            uneven = [entrance for entrance in entrances if not _is_level(entrance)]
            if not uneven:
                return
            for entrance in uneven:
                await self._bring_level(entrance)

    def settle(self, entrance: Entrance) -> Entry:
        """Decide what the client gets. Synchronous, and followed by the reply and `take_place` in the same turn.

        Raises:
            DisconnectClient: 3010, when client and room do not stand at the same place in the stream.
            ClientError: 112, when the client insists on a recovery that cannot be.
        """
        grant, asked = entrance.grant, entrance.asked
        wants_recovery = asked.position is not None or grant.recovers_always
        if entrance.read is None:
            return Entry(grant, None, asked.position is not None)
        if not _is_level(entrance):
            raise DisconnectClient(disconnects.INSUFFICIENT_STATE)
        merged = merge(entrance.read, entrance.room.entering[entrance.client])
        entrance.top = merged.top
        recovery = Recovery(False, merged.top)
        if grant.is_recoverable and wants_recovery:
            recovery = self._recover(grant, asked, merged)
            if asked.rejects_unrecovered and not recovery.is_recovered:
                raise ClientError(errors.UNRECOVERABLE_POSITION)
        return Entry(grant, recovery, wants_recovery)

    def take_place(self, entrance: Entrance) -> Subscription:
        """Make the client a member; its reply must be queued already."""
        room, client = entrance.room, entrance.client
        del room.entering[client]
        client.subscribing.discard(room.channel)
        if entrance.top is not None and (room.position is None or not room.size):
            room.position = entrance.top
        return self._hub.join(client, room, entrance.grant)

    async def announce(self, subscription: Subscription, client: Client) -> None:
        """Tell the channel that the client came, after its reply; the client hears of itself too."""
        if subscription.grant.emits_membership and _is_current(client, subscription):
            join = Join(_info(client, subscription.chan_info))
            await self._best_effort(self._pubsub.publish_membership(subscription.channel, join))

    async def renew(self, client: Client, subscription: Subscription) -> None:
        """Enter a client into presence again, because what it tells of itself has changed."""
        if subscription.grant.keeps_presence and _is_current(client, subscription):
            channel = subscription.channel
            await self._best_effort(self._presence.add(channel, _info(client, subscription.chan_info)))
            if channel not in client.subscriptions:
                await self._best_effort(self._presence.remove(channel, client.id))  # it left meanwhile

    async def renew_all(self, client: Client) -> None:
        """Do so wherever it is."""
        for subscription in tuple(client.subscriptions.values()):
            await self.renew(client, subscription)

    async def give_up(self, *entrances: Entrance) -> None:
        """Undo every `prepare`; nothing is left of it. What needs no waiting is done for all of them first."""
        for entrance in entrances:
            entrance.room.entering.pop(entrance.client, None)
            entrance.client.subscribing.discard(entrance.room.channel)
            self._upstream.release(entrance.room)
        for entrance in entrances:
            if entrance.has_presence:
                await self._best_effort(self._presence.remove(entrance.room.channel, entrance.client.id))

    def leave(self, client: Client, channel: str) -> Subscription | None:
        """Take a client out of a channel, at once; None when it was not in it.

        Whoever calls tells the client in the same turn, and then does `clean_up`.
        """
        subscription = self._hub.leave(client, channel)
        if subscription is not None:
            self._upstream.release(subscription.room)
        return subscription

    def take_out(self, client: Client, channel: str, reason: Unsubscribe) -> Subscription | None:
        """Take a client out of a channel, at once, and tell it why; None when it was not in it. `clean_up` is to follow."""
        subscription = self.leave(client, channel)
        if subscription is not None:
            client.push(Push(channel=channel, unsubscribe=UnsubscribePush(reason.code, reason.reason)))
        return subscription

    def leave_all(self, client: Client) -> list[Subscription]:
        """Take a client out of the node, at once; tells the places it held, which are to be cleaned up."""
        held = self._hub.remove(client)
        for subscription in held:
            self._upstream.release(subscription.room)
        return held

    async def clean_up(self, client: Client, subscription: Subscription) -> None:
        """Tell the others that a client has lost its place."""
        grant, channel = subscription.grant, subscription.channel
        if grant.keeps_presence:
            await self._best_effort(self._presence.remove(channel, client.id))
            if (again := client.subscriptions.get(channel)) is not None:
                await self.renew(client, again)  # it came back meanwhile, and that was its new entry
        if grant.emits_membership:
            leave = Leave(_info(client, subscription.chan_info))
            await self._best_effort(self._pubsub.publish_membership(channel, leave))

    async def _bring_level(self, entrance: Entrance) -> None:
        """Have a room catch up with what was read before pub/sub brought it, or read again what the room knows already."""
        room = entrance.room
        if room.held is None:
            top = _top(entrance)
            if top is None or not room.is_behind(top):
                entrance.read = await self._read(entrance)
                return
            room.held = []
            self._heal(room)
        while room.held is not None:
            whole: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            room.when_whole.append(functools.partial(_answer, whole))
            if not await whole:
                raise EngineUnavailable("what is missing in the room cannot be read now")

    def _recover(self, grant: Grant, asked: Asked, merged: Slice) -> Recovery:
        if grant.recovers_cache:
            newest = merged.publications[-1] if merged.publications else None
            return recover_cache(asked.position, newest, merged.top)
        assert asked.position is not None
        kept = merged if not asked.position.epoch or asked.position.epoch == merged.top.epoch else None
        return recover(asked.position, kept, merged.top, limit=self._recovery_limit)

    async def _read(self, entrance: Entrance) -> Slice:
        """Read what a recovery may need, or just the top."""
        channel, grant, asked = entrance.room.channel, entrance.grant, entrance.asked
        kept_s = history_meta_ttl_s(self._rules.options(channel))
        if grant.is_recoverable and grant.recovers_cache and (asked.position is not None or grant.recovers_always):
            return await self._history.read(channel, since=None, limit=1, reverse=True, meta_ttl_s=kept_s)
        if grant.is_recoverable and asked.position is not None:
            try:
                limit = self._recovery_limit + 1
                return await self._history.read(channel, since=asked.position, limit=limit, meta_ttl_s=kept_s)
            except PositionLost:
                pass
        return await self._history.read(channel, since=None, limit=0, meta_ttl_s=kept_s)


def _top(entrance: Entrance) -> Position | None:
    """Tell where in the stream whoever enters stands by now; None where what was read and what came since do not meet."""
    assert entrance.read is not None
    try:
        return merge(entrance.read, entrance.room.entering[entrance.client]).top
    except Gap:
        return None


def _is_level(entrance: Entrance) -> bool:
    """Whether a client may become a member now: it stands where the room's members do, or is the first."""
    room = entrance.room
    if entrance.read is None:
        return True
    if room.held is not None:
        return False
    top = _top(entrance)
    return top is not None and (not room.size or room.position in (None, top))


def _hold_back(room: Room) -> None:
    raise AssertionError(f"nobody was named who heals rooms: {room.channel}")


def _answer(whole: asyncio.Future[bool], is_whole: bool) -> None:
    if not whole.done():  # else whoever waited has gone
        whole.set_result(is_whole)


def _info(client: Client, chan_info: bytes) -> ClientInfo:
    return ClientInfo(client.user, client.id, client.conn_info, chan_info)


def _is_current(client: Client, subscription: Subscription) -> bool:
    return client.subscriptions.get(subscription.channel) is subscription
