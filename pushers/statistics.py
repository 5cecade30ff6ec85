"""The duty of statistics: hours that are over are counted, one after another, and old ones forgotten."""

from datetime import timedelta
from typing import Final

from broker.statistics import Statistics
from config.clock import Clock
from config.settings import NotificationSettings
from pushers.duties import Duty

__all__ = ["statistics_duties"]

# Counting itself leaves half of the time to others; hours fall due once an hour, and a little after each other.
_PAUSE_S: Final = 1.0
_ROUND_S: Final = 60.0


def statistics_duties(statistics: Statistics, clock: Clock, settings: NotificationSettings) -> list[Duty]:
    """Make the duty, where statistics are wanted."""
    kept_s = settings.statistics.retention

    async def work() -> float:
        if await statistics.count_next(rows_kept_s=settings.retention, kept_s=kept_s):
            return _PAUSE_S
        if kept_s and await statistics.forget(before=clock.now() - timedelta(seconds=kept_s)):
            return _PAUSE_S
        return _ROUND_S

    return [Duty("statistics", work)] if settings.statistics.enabled else []
