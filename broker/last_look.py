"""What came of asking something the last time: how long it took, and what was wrong when something last was."""

from datetime import datetime

import msgspec

__all__ = ["NO_LOOK", "LastLook"]


class LastLook(msgspec.Struct, frozen=True, gc=False):
    """Moments in Unix seconds; None before there was one.

    Attributes:
        failing_since: When it began to fail, while it does.
        error: What was wrong the last time that something was, also when all is well again.
    """

    latency_ms: float | None = None
    at: float | None = None
    failing_since: float | None = None
    error: str = ""
    error_at: float | None = None

    def then(self, error: str, took_s: float, now: datetime) -> "LastLook":
        """Give what is known after another one; `error` is empty where all went well."""
        at = round(now.timestamp(), 3)
        return LastLook(
            round(took_s * 1000, 3),
            at,
            (self.failing_since or at) if error else None,
            error or self.error,
            at if error else self.error_at,
        )


NO_LOOK = LastLook()
