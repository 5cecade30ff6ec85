"""Whether rooms stand where their streams stand, and what is done where they do not.

Pub/sub may lose messages; offsets tell where. A gap is healed by the node itself: it reads what is missing from
history and delivers it in order, and the clients notice nothing. Only what history cannot fill becomes *insufficient
state*: client-side subscriptions are told to come back (2500), connections with a server-side one to reconnect
(3010), and both then recover or learn that they cannot. Silence is checked too: at times, and whenever the engine says that
something may have been missed, each room with positioned subscribers is compared with its stream's top, one read per channel.
So is lateness, where a limit is set: what comes too late says that more is on its way, and whoever must not miss anything
reads it from history sooner.
"""

import asyncio
from collections.abc import Sequence

from broker.channels import ChannelRules, history_meta_ttl_s
from broker.errors import PositionLost, Unavailable
from broker.history import ALL, History
from broker.model import Position, Publication, Slice
from config.clock import Clock
from config.logs import get_logger
from config.settings import ClientSettings
from gateway.hub import Hub
from gateway.protocol import disconnects
from gateway.room import Room, Taken
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.subscription import Subscription
from gateway.tasks import Tasks
from gateway.wheel import Wheel

__all__ = ["Positions"]

_log = get_logger()
_RETRY_S = 1.0
_HELD_LIMIT = 10_000
_SLICE = 100
_NOTHING = Slice((), Position(0, ""))


class Positions:
    """Heals gaps and finds silent ones."""

    def __init__(
        self,
        settings: ClientSettings,
        hub: Hub,
        history: History,
        rules: ChannelRules,
        entrances: Entrances,
        wheel: Wheel,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._settings, self._hub, self._history, self._entrances = settings, hub, history, entrances
        self._rules, self._wheel, self._tasks, self._clock = rules, wheel, tasks, clock
        self._is_checking = self._is_behind = False

    def start(self) -> None:
        """Begin the periodic check."""
        self._wheel.after(self._settings.presence_update_interval, self._check_all)

    def check_now(self) -> None:
        """Compare all rooms with their streams: messages may have been missed. Their reads are spread over some turns."""
        self._is_behind = True
        self._start_checking()

    def heal(self, room: Room) -> None:
        """Fill the gap of a room that holds publications back."""
        self._tasks.run(self._heal(room), "positions.heal")

    def check_lag(self, room: Room, publication: Publication) -> None:
        """See whether a live publication comes too late; its room's positioned subscribers then do not get it."""
        if not publication.time_ms or not room.positioned or room.has(publication):
            return
        lag_s = self._clock.now().timestamp() - publication.time_ms / 1000
        if lag_s > self._settings.channel_position_max_time_lag:
            self._tasks.run(self._clean_up(self._give_up(room)), "positions.lag")

    async def _heal(self, room: Room) -> None:
        """Go on until nothing is held back, then let those in who wait for it; while the engine is away, they need not wait."""
        await self._fill(room)
        waiting, room.when_whole = room.when_whole, []
        for call in waiting:
            call(room.held is None)

    async def _fill(self, room: Room) -> None:
        """Fill gaps. What is held stays so while we wait, so that order is kept."""
        while room.held is not None:
            try:
                missed = await self._missed(room)
            except Unavailable:
                if len(room.held) < _HELD_LIMIT and not room.is_empty:
                    self._wheel.after(_RETRY_S, self.heal, room)
                    return
                missed = None
            if missed is None:
                await self._clean_up(self._give_up(room))
                missed = _NOTHING
            if not self._deliver(room, missed.publications) or _falls_short(room, missed.top):
                # History has nothing that leads on to what is held, or to the top.
                await self._clean_up(self._give_up(room))

    async def _missed(self, room: Room) -> Slice | None:
        """Read what lies behind the room's position; None where history does not go on from there without a hole."""
        at = room.position
        if at is None:
            return _NOTHING
        try:
            read = await self._read(room, at, ALL)
        except PositionLost:
            return None
        return read if _follows(at, read) else None

    async def _read(self, room: Room, since: Position | None, limit: int) -> Slice:
        kept_s = history_meta_ttl_s(self._rules.options(room.channel))
        return await self._history.read(room.channel, since=since, limit=limit, meta_ttl_s=kept_s)

    def _deliver(self, room: Room, missed: Sequence[Publication]) -> bool:
        """Let a room have what it missed and then what it held; tells whether that led anywhere."""
        held, room.held = room.held or [], None
        has_moved = False
        for index, publication in enumerate(waiting := (*missed, *held)):
            taken = room.take(publication)
            if taken is Taken.ADDED:
                has_moved = True
                self._hub.touch(room)
            elif taken is Taken.GAP:
                assert room.held is not None
                room.held.extend(waiting[index + 1 :])
                return has_moved
        return True

    def _give_up(self, room: Room) -> list[tuple[Client, Subscription]]:
        """Tell all positioned subscribers, at once, that they cannot be kept whole here; the others go on.

        Returns:
            The places that were lost, which are to be cleaned up.
        """
        room.position = None  # whatever comes next counts as the beginning
        lost = [client for client in self._hub.members(room) if client.subscriptions[room.channel].grant.is_positioned]
        _log.warning("positions.insufficient_state", clients=len(lost))
        left = [(client, self._take_out(client, room.channel)) for client in lost]
        return [(client, subscription) for client, subscription in left if subscription is not None]

    def _take_out(self, client: Client, channel: str) -> Subscription | None:
        """Tell one; None where there is nothing left to clean up: a connection that ends does that itself."""
        subscription = client.subscriptions.get(channel)
        if subscription is None:
            return None  # it left meanwhile: who disconnects may take others along
        if subscription.is_server_side:
            client.disconnect(disconnects.INSUFFICIENT_STATE)
            return None
        return self._entrances.take_out(client, channel, disconnects.UNSUBSCRIBED_INSUFFICIENT_STATE)

    async def _clean_up(self, left: list[tuple[Client, Subscription]]) -> None:
        for client, subscription in left:
            await self._entrances.clean_up(client, subscription)

    def _check_all(self) -> None:
        self._wheel.after(self._settings.presence_update_interval, self._check_all)
        self._start_checking()

    def _start_checking(self) -> None:
        if not self._is_checking:
            self._tasks.run(self._check_rooms(), "positions.check")

    async def _check_rooms(self) -> None:
        """Check what is due; and all rooms where that was asked for, also meanwhile."""
        self._is_checking = True
        try:
            while True:
                older_than_s = 0.0 if self._is_behind else self._settings.channel_position_check_delay
                self._is_behind = False
                await self._check_older_than(older_than_s)
                if not self._is_behind:
                    return
        finally:
            self._is_checking = False

    async def _check_older_than(self, seconds: float) -> None:
        now = self._clock.monotonic()
        due = [room for room in self._hub.rooms() if room.positioned and now - room.checked_at >= seconds]
        for begin in range(0, len(due), _SLICE):
            if begin:
                await asyncio.sleep(0)
            if not await self._check_slice(due[begin : begin + _SLICE], now):
                return  # the engine is away; positions are compared when it is back

    async def _check_slice(self, rooms: Sequence[Room], now: float) -> bool:
        """Check some rooms at once, so that their reads travel together; tells whether the engine answered them all."""
        left, is_answered = len(rooms), True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def check(room: Room) -> None:
            nonlocal left, is_answered
            try:
                await self._check(room)
            except Unavailable:
                is_answered = False
            finally:
                left -= 1
                if not left and not done.done():
                    done.set_result(None)

        for room in rooms:
            room.checked_at = now
            self._tasks.run(check(room), "positions.check_room")
        if left:
            await done
        return is_answered

    async def _check(self, room: Room) -> None:
        before = room.position
        top = (await self._read(room, None, 0)).top
        if before is None or room.position is not before or room.held is not None or top == before:
            return
        room.held = []
        await self._heal(room)


def _follows(at: Position, read: Slice) -> bool:
    """Whether a stream goes on from a position: it has not gone back, and what it keeps after it begins without a hole."""
    is_whole = all(publication.offset == at.offset + index for index, publication in enumerate(read.publications, 1))
    return is_whole and read.top.offset >= at.offset


def _falls_short(room: Room, top: Position) -> bool:
    """Whether a room has had all there was, and is not at the top: the last ones were lost, and are kept no more."""
    at = room.position
    return room.held is None and at is not None and at.epoch == top.epoch and at.offset < top.offset
