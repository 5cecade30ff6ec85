"""Critical plans that were claimed in the transaction that stored them, begun as soon as that is committed.

They need not wait for the next claim, which comes behind the work of the last one. Whatever is not begun here goes that way: it
is asked for nothing while the pipeline has too much to write, and what comes when it ends is given back.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from broker.errors import StoreUnavailable
from broker.ledger import Ask, Step
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger
from pushers.haste import Haste

__all__ = ["Express"]

_log = get_logger()

# More of one request waits to be claimed with everything else.
_MOST: Final = 500


class Express:
    """One pipeline's; nothing is taken before `open` and after `close`.

    Args:
        wants: Whether there is room for more now.
        begin: Sets steps going.
        haste: Is told what is to be stored, and when its calls have begun.
    """

    def __init__(
        self,
        worker_id: str,
        lease_s: float,
        clock: Clock,
        *,
        wants: Callable[[], bool],
        begin: Callable[[Sequence[Step]], Awaitable[None]],
        outage: Outage,
        haste: Haste,
    ) -> None:
        self._id, self._lease, self._clock = worker_id, timedelta(seconds=lease_s), clock
        self._wants, self._begin, self._outage, self._haste = wants, begin, outage, haste
        self._group: asyncio.TaskGroup | None = None
        self._context = contextvars.Context()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, group: asyncio.TaskGroup) -> None:
        """Begin to take; what is taken runs in this group."""
        # Not in the context of a request: what is begun here goes on with what others asked for.
        self._group, self._context = group, contextvars.copy_context()

    async def close(self) -> None:
        """Take nothing more, and break off what is not set going yet."""
        self._group = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def asks(self) -> Ask | None:
        """Say what would be claimed of critical plans that are about to be stored; see `Ledger.on_critical`."""
        if self._group is None or not self._wants():
            return None
        self._haste.begin()
        return Ask(self._id, _MOST, self._clock.now() + self._lease)

    def take(self, steps: Sequence[Step]) -> bool:
        """Begin what was claimed as it was stored; False where the pipeline ends, or has ended by an error."""
        if self._group is None or not steps:
            self._haste.end()
            return not steps
        work = self._run(steps)
        try:
            task = self._group.create_task(work, name="pipeline:express", context=self._context.copy())
        except RuntimeError:  # the group is breaking up
            work.close()
            self._haste.end()
            return False
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _run(self, steps: Sequence[Step]) -> None:
        try:
            await self._begin(steps)
            await asyncio.sleep(0)  # the turn in which the calls begin
        except StoreUnavailable as exc:
            self._outage.failed(exc)
        except Exception:  # the edge of a claim: leases run out, and what was not begun is taken over
            _log.exception("claim.broke")
        finally:
            self._haste.end()
