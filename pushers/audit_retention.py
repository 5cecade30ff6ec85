"""The duty that removes old records of the audit, a piece at a time."""

from datetime import timedelta
from typing import Final

from broker.audit import Audit
from config.clock import Clock
from pushers.duties import Duty

__all__ = ["audit_retention"]

# Each piece leaves a record of where the chain begins now: rounds are rare, pieces large.
_PIECE: Final = 2000
_PAUSE_S: Final = 0.5
_ROUND_S: Final = 3600.0


def audit_retention(audit: Audit, clock: Clock, *, retention_s: float) -> list[Duty]:
    """Make the duty; none where records are kept for ever."""
    if not retention_s:
        return []

    async def work() -> float:
        removed = await audit.sweep(before=clock.now() - timedelta(seconds=retention_s), limit=_PIECE)
        return _PAUSE_S if removed >= _PIECE else _ROUND_S

    return [Duty("audit", work)]
