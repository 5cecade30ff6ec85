"""Steps that must not keep the ones after them from being done."""

from collections.abc import Awaitable

from broker.errors import Unavailable
from config.logs import get_logger

__all__ = ["BestEffort"]

_log = get_logger()
_LOGGED_EVERY = 100


class BestEffort:
    """Takes what an engine could not do for what it is: the fleet knows less for a while, until a lease runs out.

    Failures are counted, and logged at the first and then at every hundredth.
    """

    def __init__(self) -> None:
        self.failures = 0

    async def __call__(self, step: Awaitable[None]) -> bool:
        """Await a step; tells whether it was done."""
        try:
            await step
        except Unavailable:
            self.failures += 1
            if self.failures % _LOGGED_EVERY == 1:
                _log.warning("membership.not_told", failures=self.failures)
            return False
        return True
