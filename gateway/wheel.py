"""One timing wheel per node, instead of timers per client.

Why: a million timers are a million objects in a heap that every connect and disconnect has to touch. Here a deadline
is an entry in the bucket of its tick, pings are membership in one of a ring of sets, and an idle client costs no work
but its share of a tick. Nothing is ever taken out early: whoever set a deadline checks, when called, whether it still
holds.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from config.clock import Clock
from config.logs import get_logger

__all__ = ["Note", "PingRing", "Pingable", "Wheel"]

_log = get_logger()


class Note:
    """A deadline that can be dropped. What it would call is let go at once; the empty note stays until its tick."""

    __slots__ = ("_call", "deadline")

    def __init__(self, deadline: float, call: Callable[[], None]) -> None:
        """Make a note for a reading of the monotonic clock."""
        self.deadline = deadline
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        if self._call is not None:
            call, self._call = self._call, None
            call()

    def drop(self) -> None:
        """Call nothing any more, and hold nothing."""
        self._call = None


class Wheel:
    """Deadlines in buckets of one tick; late by at most a tick, never early."""

    def __init__(self, clock: Clock, tick_s: float = 0.1) -> None:
        self._clock, self.tick_s = clock, tick_s
        self._start = clock.monotonic()
        self._done_ticks = 0
        self._buckets: dict[int, list[tuple[Callable[..., None], tuple[Any, ...]]]] = {}

    def monotonic(self) -> float:
        """Give the reading of its clock, in seconds."""
        return self._clock.monotonic()

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call back once, `delay_s` from now or up to a tick later."""
        passed = self._clock.monotonic() - self._start + delay_s
        tick = max(int(passed / self.tick_s) + 1, self._done_ticks + 1)
        self._buckets.setdefault(tick, []).append((call, args))

    def note(self, delay_s: float, call: Callable[[], None]) -> Note:
        """Call back as `after` does, unless the note is dropped before."""
        note = Note(self._clock.monotonic() + delay_s, call)
        self.after(delay_s, note)
        return note

    def turn(self) -> int:
        """Run what is due by the clock; tells how many ticks passed. Called by the node's one timer."""
        now_tick = int((self._clock.monotonic() - self._start) / self.tick_s)
        passed = now_tick - self._done_ticks
        while self._done_ticks < now_tick:
            self._done_ticks += 1
            for call, args in self._buckets.pop(self._done_ticks, ()):
                try:
                    call(*args)
                except Exception:  # the edge between deadlines: a bug of one must not cost the others theirs
                    _log.exception("deadline.failed")
        return passed

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets.values())


class Pingable(Protocol):
    """Who is pinged."""

    def ping(self) -> None:
        """Send a ping."""

    def check_pong(self) -> None:
        """See whether the pong came."""


class PingRing:
    """Who is pinged when: a ring of sets, one per tick of the ping interval. A member is pinged once a round, and checked
    `pong_timeout` after its last ping."""

    def __init__(self, clock: Clock, interval_s: float, timeout_s: float, tick_s: float) -> None:
        """Make a ring; with a timeout of 0 nobody is checked."""
        self._clock = clock
        self._size = max(2, round(interval_s / tick_s))
        # Whoever is pinged again before the check is never found silent, so a slot is checked before its next ping.
        self._checked_after = min(-int(-timeout_s // tick_s), self._size - 1)
        self._slots: list[set[Pingable]] = [set() for _ in range(self._size)]
        self._at = 0
        self._now = 0
        self._pinged_at = [0] * self._size
        # Slots with the tick of their ping, oldest first. One that was pinged again meanwhile is judged by that ping alone.
        self._unchecked: deque[tuple[int, int]] = deque()

    def add(self, client: Pingable) -> int:
        """Enter a client, so that its first ping comes in the second half of the first interval; tells its slot."""
        half = self._size // 2
        slot = (self._at + half + int(self._clock.spread() * (self._size - half)) + 1) % self._size
        self._slots[slot].add(client)
        return slot

    def discard(self, client: Pingable, slot: int) -> None:
        """Take a client out of its slot."""
        self._slots[slot].discard(client)

    def turn(self, ticks: int) -> None:
        """Move on by so many ticks.

        A node that was held up skips no one: it pings each slot that it missed once, in order. It judges nobody then whose
        time ran out meanwhile: the pong may lie unread in the socket until the loop has turned. The next call judges them.
        """
        before, self._now = self._now, self._now + ticks
        self._check_due(self._now if ticks <= 1 else before)
        for _ in range(min(ticks, self._size)):
            self._at = (self._at + 1) % self._size
            self._ping(self._at)

    def _ping(self, slot: int) -> None:
        for client in tuple(self._slots[slot]):
            try:
                client.ping()
            except Exception:  # the edge between clients, as above
                _log.exception("ping.failed")
        if self._checked_after:
            self._pinged_at[slot] = self._now
            self._unchecked.append((slot, self._now))

    def _check_due(self, now: int) -> None:
        while self._unchecked and self._unchecked[0][1] + self._checked_after <= now:
            slot, pinged_at = self._unchecked.popleft()
            if self._pinged_at[slot] == pinged_at:
                self._check(self._slots[slot])

    @staticmethod
    def _check(slot: set[Pingable]) -> None:
        for client in tuple(slot):
            try:
                client.check_pong()
            except Exception:  # the edge between clients, as above
                _log.exception("pong.failed")
