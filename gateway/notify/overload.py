"""Whether the pipeline has room for more (N-33): a lane whose oldest decision waits too long takes nothing new for a while.

Decisions are what all notifications have in common, whatever way they go: while a carrier is paused, slow or full its
deliveries wait, and what goes another way does not. A lane that an operator holds is not behind, and holds up no other.

What is more important goes first, so a lane is as late as the latest of those before it. Limits rise with importance: bulk is
refused first, critical ones last. Nobody's call asks the store: a task looks every two seconds, where there is a limit.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.backlog import Backlog
from broker.errors import Unavailable, Withheld
from broker.notification import Lane
from broker.outage import Outage
from config.clock import Clock
from config.operation_settings import OverloadSettings

__all__ = ["Overload", "all_of"]

_INTERVAL_S: Final = 2.0
# What was seen longer ago says nothing any more; while the store is away, it refuses by itself.
_STALE_S: Final = 15.0
_LONGEST_S: Final = 60.0


def all_of(*intakes: Callable[[Lane], None]) -> Callable[[Lane], None]:
    """Let in what every one of them lets in."""

    def check(lane: Lane) -> None:
        for take_in in intakes:
            take_in(lane)

    return check


class Overload(Collector):
    """Looks at the queue, and turns away what would wait too long; `take_in` is a `gateway.notify.intake.Intake`.

    Args:
        held: Tells of which lanes nothing is claimed for now.
    """

    def __init__(
        self, backlog: Backlog, settings: OverloadSettings, clock: Clock, *, held: Callable[[], Collection[Lane]] = frozenset
    ) -> None:
        self._backlog, self._clock, self._held = backlog, clock, held
        named = {Lane[name.upper()]: limit_s for name, limit_s in settings.limits.items()}
        self._limits: Mapping[Lane, float] = {lane: limit_s for lane, limit_s in named.items() if limit_s}
        self._age_by_lane: Mapping[Lane, float] = {}
        self._looked_at = -math.inf
        self._outage = Outage("overload", clock)
        self.refused_by_lane = dict.fromkeys(self._limits, 0)

    @property
    def is_on(self) -> bool:
        """Whether any lane has a limit."""
        return bool(self._limits)

    def take_in(self, lane: Lane) -> None:
        """Let a notification of a lane in.

        Raises:
            Withheld: It would wait too long; `retry_after_s` says when to ask again.
        """
        limit_s = self._limits.get(lane)
        if limit_s is None or self._clock.monotonic() - self._looked_at > _STALE_S:
            return
        late_s = self._age_by_lane.get(lane, 0.0) - limit_s
        if late_s > 0:
            self.refused_by_lane[lane] += 1
            told = f"the pipeline is behind, {lane.name.lower()} notifications are not taken now, try again later"
            raise Withheld(told, retry_after_s=min(_LONGEST_S, max(1.0, late_s)))

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while self.is_on:
            await self._clock.sleep(await self.look())

    async def look(self) -> float:
        """Look once; tells in how many seconds to look again."""
        try:
            undecided = await self._backlog.undecided()
        except Unavailable as exc:
            return self._outage.failed(exc)
        self._outage.ended()
        self._age_by_lane, self._looked_at = self._ages(undecided), self._clock.monotonic()
        return _INTERVAL_S

    def _ages(self, undecided: Mapping[Lane, datetime]) -> Mapping[Lane, float]:
        now, held, latest_s, ages = self._clock.now(), self._held(), 0.0, {}
        for lane in sorted(Lane):
            if lane in held:
                continue
            if lane in undecided:
                latest_s = max(latest_s, (now - undecided[lane]).total_seconds())
            ages[lane] = latest_s
        return ages

    def collect(self) -> Iterable[Metric]:
        """Tell Prometheus what was refused; nothing without limits."""
        if not self.is_on:
            return []
        refused = CounterMetricFamily(
            "heliograph_notifications_refused", "Notifications refused because the pipeline is behind", labels=["lane"]
        )
        for lane, count in self.refused_by_lane.items():
            refused.add_metric([lane.name.lower()], count)
        return [refused]
