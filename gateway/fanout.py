"""One write per client and loop turn.

Whatever is to be sent in a turn (replies, publications of any number of rooms) is collected and leaves when the turn
ends, joined into one frame per client. The first message of a turn schedules the flush: an idle node adds one loop
turn of latency, a busy one sends many publications with one system call. A room that alone is busy writes the same
frame object to every member.
"""

from collections.abc import Callable
from typing import Final

from gateway.cohort import Cohort
from gateway.member import Member
from gateway.protocol import disconnects
from gateway.room import Room
from gateway.transports.transport import Wire

__all__ = ["NOTHING", "Turn"]

NOTHING: Final[tuple[()]] = ()


class Turn:
    """What leaves at the end of this turn of the event loop."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._rooms: list[Room] = []
        self._clients: list[Member] = []
        self._is_scheduled = False
        self.frames_written = 0
        self.messages_written = 0

    def touch_client(self, client: Member) -> None:
        """A client has got its first message of this turn."""
        self._clients.append(client)
        self._schedule()

    def touch_room(self, room: Room) -> None:
        """A room has got its first message of this turn."""
        room.is_dirty = True
        self._rooms.append(room)
        self._schedule()

    def flush_room(self, room: Room) -> None:
        """Write a room's batches now: before its membership changes, so that nobody gets what is not theirs."""
        if room.is_dirty:
            room.is_dirty = False
            self._rooms.remove(room)
            self._write_room(room)

    def flush_client(self, client: Member) -> None:
        """Write what waits for one client now: before it is told to go."""
        if client.out:
            messages, client.out = client.out, NOTHING
            self._write(client, client.wire.frame(messages), len(messages))

    def flush(self) -> None:
        """Write everything. Called by the event loop."""
        self._is_scheduled = False
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            room.is_dirty = False
        if len(rooms) == 1:
            self._write_room(rooms[0])
        else:
            # A member of several rooms gets one frame for all of them, so everything goes through the clients' own lists.
            for room in rooms:
                self._spill_room(room)
        clients, self._clients = self._clients, []
        frames: dict[tuple[object, ...], bytes] = {}
        for client in clients:
            messages, client.out = client.out, NOTHING
            if not messages:
                continue  # it was flushed or closed meanwhile
            # Clients of the same rooms were given the same objects; then the frame is built once.
            key = (client.wire, *map(id, messages))
            frame = frames.get(key)
            if frame is None:
                frame = frames[key] = client.wire.frame(messages)
            self._write(client, frame, len(messages))

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self.flush)

    def _write(self, client: Member, frame: bytes, messages: int) -> None:
        self.frames_written += 1
        self.messages_written += messages
        client.write(frame)

    def _write_room(self, room: Room) -> None:
        for cohort in tuple(room.cohorts.values()):
            if cohort.unfit:
                _refuse_payload(cohort)
            if batch := cohort.batch:
                cohort.batch = []
                self._write_batch(cohort.audience.wire, cohort.members, batch)
            if cohort.fresh_batch:
                self._write_batch(cohort.audience.wire, cohort.fresh, cohort.fresh_batch)
                cohort.settle()

    def _write_batch(self, wire: Wire, members: dict[Member, None], batch: list[bytes]) -> None:
        shared = wire.share(batch)
        frame = wire.frame(shared)
        put_off = 0
        # The hot loop: one truth test and one call per delivery.
        for client in members:
            if client.out:
                client.out.extend(shared)
                put_off += 1
            else:
                client.write(frame)
        self.frames_written += len(members) - put_off
        self.messages_written += len(members) * len(batch) - put_off * len(shared)  # those are counted when they leave

    def _spill_room(self, room: Room) -> None:
        for cohort in tuple(room.cohorts.values()):
            if cohort.unfit:
                _refuse_payload(cohort)
            if batch := cohort.batch:
                cohort.batch = []
                self._spill_batch(cohort.audience.wire, cohort.members, batch)
            if cohort.fresh_batch:
                self._spill_batch(cohort.audience.wire, cohort.fresh, cohort.fresh_batch)
                cohort.settle()

    def _spill_batch(self, wire: Wire, members: dict[Member, None], batch: list[bytes]) -> None:
        shared = wire.share(batch)
        for client in members:
            if client.out:
                client.out.extend(shared)
            else:
                client.out = shared.copy()
                self._clients.append(client)
        self.messages_written += len(members) * (len(batch) - len(shared))  # the rest is counted when it leaves


def _refuse_payload(cohort: Cohort) -> None:
    for client in (*cohort.members, *cohort.fresh):
        client.disconnect(disconnects.INAPPROPRIATE_PROTOCOL)
