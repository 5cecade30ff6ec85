"""Keeps an outage from filling the log: told when it begins, counted while it lasts, told again when it is over."""

from config.clock import Clock
from config.logs import get_logger

__all__ = ["Outage"]

_log = get_logger()


class Outage:
    """One thing that may be away, and how long to leave it alone between tries."""

    def __init__(self, what: str, clock: Clock, *, base_s: float = 0.1, cap_s: float = 5.0) -> None:
        self._what, self._clock = what, clock
        self._base_s, self._cap_s = base_s, cap_s
        self._failures = 0
        self._since = 0.0

    def failed(self, error: Exception) -> float:
        """Note a failure.

        Returns:
            How many seconds to wait before the next try, with jitter.
        """
        if not self._failures:
            self._since = self._clock.monotonic()
            _log.warning("outage.began", what=self._what, reason=str(error))
        self._failures += 1
        ceiling_s = min(self._cap_s, self._base_s * 2.0 ** min(self._failures - 1, 20))
        return ceiling_s * (0.5 + self._clock.spread() / 2)

    def ended(self) -> None:
        """Note that it answered."""
        if self._failures:
            lasted_s = round(self._clock.monotonic() - self._since, 3)
            _log.warning("outage.ended", what=self._what, failures=self._failures, lasted_s=lasted_s)
            self._failures = 0
