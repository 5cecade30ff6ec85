"""What a process does beside delivering, again and again: each duty a piece of work that tells when the next one is due."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from broker.errors import StoreUnavailable
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger

__all__ = ["Duties", "Duty"]

_log = get_logger()

# After an error of ours, which would only repeat itself.
_AFTER_ERROR_S: Final = 60.0


class Duty(msgspec.Struct, frozen=True):
    """Something to be done now and then. `work` does a bounded piece and tells in how many seconds the next one is due."""

    name: str
    work: Callable[[], Awaitable[float]]


class Duties:
    """Performs duties side by side, each in a task of its own, until `run` is cancelled. None ever ends the others."""

    def __init__(self, duties: Sequence[Duty], clock: Clock) -> None:
        self._duties, self._clock = duties, clock

    async def run(self) -> None:
        """Perform them. A store that is away is asked again later; an error of ours is told, and tried again after a minute."""
        async with asyncio.TaskGroup() as group:
            for duty in self._duties:
                group.create_task(self._perform(duty), name=f"duty:{duty.name}")

    async def _perform(self, duty: Duty) -> None:
        outage = Outage(f"store for {duty.name}", self._clock, base_s=1.0, cap_s=60.0)
        while True:
            try:
                pause_s = await duty.work()
                outage.ended()
            except StoreUnavailable as exc:
                pause_s = outage.failed(exc)
            except Exception:  # the edge of a duty
                _log.exception("duty.broke", duty=duty.name)
                pause_s = _AFTER_ERROR_S
            await self._clock.sleep(pause_s)
