"""The duty of looking at the queue now and then, so that metrics tell how much waits in each lane, and how long."""

from typing import Final

from broker.backlog import Backlog
from config.clock import Clock
from pushers.duties import Duty
from pushers.metrics import Metrics

__all__ = ["backlog_watch"]

_INTERVAL_S: Final = 10.0
# Counting goes along an index: so many cost some milliseconds, and nobody needs to know how many more there are.
_MOST: Final = 100_000


def backlog_watch(backlog: Backlog, metrics: Metrics, clock: Clock) -> Duty:
    """Make the duty. Processes that share a store tell the same."""

    async def work() -> float:
        lanes = await backlog.lanes(limit=_MOST)
        now = clock.now()
        for lane in lanes:
            age_s = 0.0 if lane.oldest_due_at is None else max(0.0, (now - lane.oldest_due_at).total_seconds())
            metrics.waits(lane.lane, lane.waiting, age_s)
        return _INTERVAL_S

    return Duty("backlog", work)
