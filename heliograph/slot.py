"""The place of one worker: who has it now, and what becomes of it when that one dies or is to be replaced."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from config.clock import Clock
from config.logs import get_logger
from heliograph.ending import Ending
from heliograph.listening import bind_again
from heliograph.orders import Assignment
from heliograph.worker_process import WorkerFailed, WorkerProcess

__all__ = ["Slot", "restart_delay"]

_log = get_logger()

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
# A worker that has lived so long does not pay for the deaths before it.
_FORGIVEN_S: Final = 60.0
# A worker that is not ready by then hangs: whatever it waits for at its start has a shorter limit of its own.
_START_LIMIT_S: Final = 120.0


def restart_delay(failures: int, spread: float) -> float:
    """Tell how many seconds to wait after so many deaths in a row (from 1); `spread` in [0, 1) is the jitter drawn."""
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 1, 10)) * (0.5 + spread / 2)


class Slot:
    """One place, kept by one task (`keep`)."""

    def __init__(
        self,
        assignment: Assignment,
        clients: socket.socket,
        operations: socket.socket | None,
        ending: Ending,
        clock: Clock,
        *,
        start_limit_s: float = _START_LIMIT_S,
    ) -> None:
        """Make a place of bound sockets, which belong to it from now on.

        Args:
            assignment: Its worker's, but for the sockets.
            clients: Shared with the other places.
            operations: This place's own.
            ending: Ends it with the supervisor.
            clock: Times restarts.
            start_limit_s: How long a worker may take until its port answers.
        """
        self._assignment, self._ending, self._clock, self._start_limit_s = assignment, ending, clock, start_limit_s
        self._clients, self._operations = clients, operations
        self._worker: WorkerProcess | None = None
        self._living: dict[WorkerProcess, asyncio.Task[int]] = {}
        self._wake = asyncio.Event()
        self._replacement: asyncio.Future[bool] | None = None
        self._failures = 0
        self._started_at = 0.0

    @property
    def number(self) -> int:
        return self._assignment.number

    @property
    def worker_pid(self) -> int | None:
        """The process that has the place; None while nobody has."""
        return None if self._worker is None else self._worker.pid

    async def start(self, opened: Callable[[], None] = lambda: None) -> None:
        """Start a worker and wait until its port answers; it is the place's from then on.

        Args:
            opened: Called right before the port answers.
        Raises:
            WorkerFailed: It has ended instead, or hung and was ended; whoever had the place before still has it.
        """
        operations = None if self._operations is None else self._operations.fileno()
        assignment = replace(self._assignment, clients=self._clients.fileno(), operations=operations)
        worker = await WorkerProcess.launch(assignment)
        life = self._living[worker] = asyncio.create_task(worker.wait(), name=f"worker:{self.number}")
        life.add_done_callback(lambda _life: self._wake.set())
        try:
            async with asyncio.timeout(self._start_limit_s):
                await worker.open()
                opened()
                await worker.listen()
        except TimeoutError:
            worker.kill()
            raise WorkerFailed(await life, [f"a worker was not ready within {self._start_limit_s:g} s"]) from None
        except asyncio.CancelledError:
            worker.say("stop")
            raise
        _log.info("worker.started", number=self.number, pid=worker.pid)
        self._worker, self._started_at = worker, self._clock.monotonic()

    async def keep(self) -> None:
        """See that somebody has the place until the end begins, and replace them when asked."""
        while not self._ending.begun.is_set():
            self._bury()
            if self._worker is None:
                await self._ending.unless_begun(self._restart())
            elif self._replacement is not None:
                replacement, self._replacement = self._replacement, None
                await self._ending.unless_begun(self._replace(replacement))
            else:
                self._wake.clear()
                await self._ending.unless_begun(self._wake.wait())

    async def replace(self) -> bool:
        """Have a successor take the place; tells whether one could. Returns when its predecessor has drained and ended."""
        predecessors = tuple(self._living.values())
        self._replacement = asyncio.get_running_loop().create_future()
        self._wake.set()
        if not await self._replacement:
            return False
        # Not gathered: whoever is cancelled here, when the end comes, must not cancel lives that the end still waits for.
        if predecessors:
            await asyncio.wait(predecessors)
        return True

    async def stop(self, timeout_s: float) -> int:
        """Let all who live drain; tells the first exit code that is not 0. Who has not ended in time is killed."""
        for worker in self._living:
            worker.say("stop")
        if not self._living:
            return 0
        _, late = await asyncio.wait(self._living.values(), timeout=timeout_s)
        for worker, life in self._living.items():
            if life in late:
                _log.error("worker.killed", number=self.number, pid=worker.pid)
                worker.kill()
        codes = await asyncio.gather(*self._living.values())
        return next((code for code in codes if code), 0)

    def close(self) -> None:
        """Close the sockets."""
        self._clients.close()
        if self._operations is not None:
            self._operations.close()

    def hurry(self) -> None:
        """Let whoever drains wait for nobody."""
        for worker in self._living:
            worker.say("hurry")

    def _bury(self) -> None:
        """Forget who has ended; tell of whoever had the place."""
        for worker, life in tuple(self._living.items()):
            if life.done():
                del self._living[worker]
                if worker is self._worker:
                    self._worker = None
                    lived_s = self._clock.monotonic() - self._started_at
                    self._failures = 1 if lived_s > _FORGIVEN_S else self._failures + 1
                    _log.error("worker.died", number=self.number, pid=worker.pid, code=life.result())
                    self._turn_away()

    def _turn_away(self) -> None:
        """Close the dead worker's queue, so that the system gives new connections to the other workers until one is back."""
        try:
            self._clients = bind_again(self._clients)
        except OSError as exc:
            _log.warning("worker.queue_kept", number=self.number, reason=exc.strerror)

    async def _restart(self) -> None:
        if self._failures:
            await self._clock.sleep(restart_delay(self._failures, self._clock.spread()))
        try:
            await self.start()
        except WorkerFailed as exc:
            self._failures += 1
            _log.error("worker.refused", number=self.number, code=exc.code, problems=exc.problems)

    async def _replace(self, replacement: "asyncio.Future[bool]") -> None:
        predecessor = self._worker
        assert predecessor is not None
        try:
            await self.start()
        except WorkerFailed as exc:
            _log.error("worker.refused", number=self.number, code=exc.code, problems=exc.problems)
            replacement.set_result(False)
            return
        predecessor.say("retire")
        replacement.set_result(True)
