"""A worker as its supervisor sees it: a child process that reports how far it is and takes orders."""

import asyncio
import contextlib
import signal
import sys

import msgspec

from heliograph.orders import LINE_LIMIT_BYTES, Assignment, Order, Report

__all__ = ["WorkerFailed", "WorkerProcess"]


class WorkerFailed(Exception):
    """A worker ended before its port answered: its exit code, and a line for each reason if it gave any."""

    def __init__(self, code: int, problems: list[str]) -> None:
        super().__init__(f"worker ended with code {code}")
        self.code, self.problems = code, problems


class WorkerProcess:
    """One child. Whoever launches it waits for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def launch(cls, assignment: Assignment) -> "WorkerProcess":
        """Start the process; `open` follows.

        Raises:
            WorkerFailed: The system grants no process now.
        """
        descriptors = [assignment.clients]
        if assignment.operations is not None:
            descriptors.append(assignment.operations)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the working directory's own modules must not stand in for ours
                "-m",
                "heliograph.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT_BYTES,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C in a terminal is the supervisor's, which ends its workers in order
            )
        except OSError as exc:  # short of memory, processes or files, perhaps for a moment: no reason to give up the others
            raise WorkerFailed(1, [f"a worker could not be started: {exc.strerror}"]) from exc
        worker = cls(process)
        worker._write(msgspec.json.encode(assignment) + b"\n")
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open(self) -> None:
        """Wait until everything is open and only the port does not answer yet.

        Raises:
            WorkerFailed: It has ended instead.
        """
        await self._expect("opened")

    async def listen(self) -> None:
        """Let the port answer, and wait until it does.

        Raises:
            WorkerFailed: It has ended instead.
        """
        self.say("go")
        await self._expect("started")

    def say(self, order: Order) -> None:
        """Give an order; one that has ended does not hear it."""
        self._write(order.encode() + b"\n")

    async def wait(self) -> int:
        """Wait until it has ended; returns the exit code, 128 and more for a signal."""
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def _expect(self, event: str) -> None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        report = msgspec.json.decode(line, type=Report) if line else None
        if report is None or report.event != event:
            raise WorkerFailed(await self.wait(), report.problems if report else [])

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
