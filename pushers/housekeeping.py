"""The duty of retention: what is old is removed in pieces, with pauses between, so that claims never wait for it."""

from datetime import timedelta
from typing import Final

from broker.retention import Retention
from broker.statistics import Statistics
from config.clock import Clock
from pushers.duties import Duty

__all__ = ["housekeeping"]

# A piece keeps the store busy for some 10 ms; so many a second are ten times what the pipeline makes.
_PIECE: Final = 200
_PAUSE_S: Final = 0.2
_ROUND_S: Final = 300.0
_WAITS: Final = timedelta(days=1)


def housekeeping(retention: Retention, clock: Clock, *, retention_s: float, statistics: Statistics | None = None) -> Duty:
    """Make the duty; a retention of 0 keeps notifications for ever. What is to be counted for statistics waits for that, a day
    at most: if counting fails the store must not fill up."""

    async def work() -> float:
        await retention.sweep_keys()
        if not retention_s:
            return _ROUND_S
        before = clock.now() - timedelta(seconds=retention_s)
        if statistics is not None:
            before = max(before - _WAITS, min(before, await statistics.uncounted_since()))
        looked_at = await retention.sweep(before=before, limit=_PIECE)
        return _PAUSE_S if looked_at >= _PIECE else _ROUND_S

    return Duty("retention", work)
