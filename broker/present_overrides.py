"""The overrides in force in a process: read when somebody says that they have changed, ended by the clock.

Whoever is ruled by them says so with `on_change` and is told at once, and again whenever they change, in the loop's turn; so
whatever is hot reads an attribute of its own. While the store is away, what is in force stays so until its end.
"""

from collections.abc import Callable

from broker.bell import Bell
from broker.overrides import InForce, Override, Overrides
from config.clock import Clock
from config.logs import get_logger

__all__ = ["PresentOverrides"]

_log = get_logger()

# The end of an override is a moment of the day, and what sleeps does not notice when somebody sets that clock.
_LONGEST_SLEEP_S = 60.0
_SHORTEST_SLEEP_S = 0.001


class PresentOverrides:
    """What holds now."""

    def __init__(self, kept: Overrides, clock: Clock) -> None:
        self.now = InForce()
        self._kept, self._clock = kept, clock
        self._known: tuple[Override, ...] = ()
        self._obeying: list[Callable[[InForce], None]] = []
        self._reading: list[Callable[[], None]] = []
        self._changed = Bell(clock)

    def on_change(self, obey: Callable[[InForce], None]) -> None:
        """Say who is ruled by them; called now, and at each change. It must not fail."""
        self._obeying.append(obey)
        obey(self.now)

    def on_load(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever they were read, also where that changed nothing. It must not fail."""
        self._reading.append(call)

    async def load(self) -> None:
        """Read them anew.

        Raises:
            StoreUnavailable: What was in force stays so until its end.
        """
        self._known = tuple(await self._kept.all())
        self._apply()
        for call in self._reading:
            call()

    async def run(self) -> None:
        """End each at its moment, until cancelled."""
        while True:
            left_s = [(one.expires_at - self._clock.now()).total_seconds() for one in self.now.overrides]
            if left_s:
                await self._changed.wait_for(min(_LONGEST_SLEEP_S, max(_SHORTEST_SLEEP_S, min(left_s))))
                self._apply()
            else:
                await self._changed.wait()

    def _apply(self) -> None:
        now = self._clock.now()
        alive = tuple(one for one in self._known if one.expires_at > now)
        if alive == self.now.overrides:
            return
        before = self.now.overrides
        self.now = InForce.of(alive)
        for event, some in (("override.began", set(alive) - set(before)), ("override.ended", set(before) - set(alive))):
            for one in sorted(some, key=lambda one: (one.kind, one.target)):
                _log.warning(event, kind=one.kind.value, target=one.target, set_by=one.set_by)
        for obey in self._obeying:
            obey(self.now)
        self._changed.ring()
