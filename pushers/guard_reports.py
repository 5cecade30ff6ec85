"""The duty of telling operators, through the store, which guards keep devices, and of hearing their word on it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from broker.deletion_guards import ClosedGuard, DeletionGuards
from config.clock import Clock
from pushers.deletion_guard import DeletionGuard
from pushers.duties import Duty

__all__ = ["guard_reports"]

_INTERVAL_S: Final = 5.0


def guard_reports(guards: Sequence[DeletionGuard], reports: DeletionGuards, clock: Clock, *, worker_id: str) -> Duty:
    """Make the duty. It does not touch the store as long as every guard is open."""
    closed_since: dict[str, datetime] = {}

    async def work() -> float:
        closed = [guard for guard in guards if guard.is_keeping]
        if not closed and not closed_since:
            return _INTERVAL_S
        for guard in closed:
            closed_since.setdefault(guard.carrier, clock.now())
        told = [ClosedGuard(guard.carrier, worker_id, closed_since[guard.carrier], guard.kept) for guard in closed]
        trusted = await reports.report(worker_id, told)
        for guard in closed:
            if guard.carrier in trusted:
                guard.trust()
        open_now = closed_since.keys() - {guard.carrier for guard in closed if guard.carrier not in trusted}
        for carrier in open_now:
            del closed_since[carrier]
        return _INTERVAL_S

    return Duty("guards", work)
