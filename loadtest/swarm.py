"""The conducting side: starts worker processes, hands them their parts, and collects what they say."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from loadtest.messages import Assignment, Fault, FromWorker, ToWorker, decode_from_worker, encode_message

__all__ = ["Crew", "WorkerLost"]

_PATIENCE_S = 10.0


class WorkerLost(Exception):
    """A measuring process ended before its time; the text is its last line."""


class Crew:
    """Worker processes, one per assignment; an async context that leaves none behind.

    `take` is called with (worker number, message) for everything that arrives, in the order of each worker.
    """

    def __init__(self, parts: Sequence[Assignment], take: Callable[[int, FromWorker], None]) -> None:
        self._parts = parts
        self._take = take
        self._workers: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._lost: WorkerLost | None = None

    async def __aenter__(self) -> Self:
        for number, part in enumerate(self._parts):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loadtest.workers.process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            self._workers.append(process)
            self._readers.append(asyncio.create_task(self._read(number, process), name=f"worker:{number}"))
            await self.send(part, number)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for process in self._workers:
            if process.stdin is not None:
                process.stdin.close()  # a worker ends when its conductor is gone
        _, late = await asyncio.wait(self._readers, timeout=_PATIENCE_S) if self._readers else (set(), set())
        for process in self._workers:
            if process.returncode is None and late:
                process.kill()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(process.wait() for process in self._workers))

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers, by their numbers."""
        return [process.pid for process in self._workers]

    async def send(self, message: ToWorker, *numbers: int) -> None:
        """Tell the numbered workers something (all of them when none is named).

        Raises:
            WorkerLost: One of them is gone.
        """
        for number in numbers or range(len(self._workers)):
            stdin = self._workers[number].stdin
            assert stdin is not None
            try:
                stdin.write(encode_message(message))
                await stdin.drain()
            except ConnectionError as exc:
                await asyncio.wait({self._readers[number]}, timeout=_PATIENCE_S)
                raise self._lost or WorkerLost(f"worker {number} is gone") from exc

    async def until(self, fact: Callable[[], bool], *, limit_s: float | None = None, stop: asyncio.Event | None = None) -> bool:
        """Await a fact about what was collected; False when `limit_s` passed or `stop` was set before.

        Raises:
            WorkerLost: A worker ended that should not have.
        """
        stop = stop or asyncio.Event()
        stopping = asyncio.create_task(stop.wait(), name="stop")
        deadline = None if limit_s is None else asyncio.get_running_loop().time() + limit_s
        try:
            while True:
                if self._lost is not None:
                    raise self._lost
                if fact():
                    return True
                left_s = None if deadline is None else deadline - asyncio.get_running_loop().time()
                if stop.is_set() or (left_s is not None and left_s <= 0):
                    return False
                self._news.clear()
                news = asyncio.create_task(self._news.wait(), name="news")
                await asyncio.wait({stopping, news}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            stopping.cancel()

    async def _read(self, number: int, process: asyncio.subprocess.Process) -> None:
        """Take messages until the worker closes its end, then see whether it went in peace."""
        assert process.stdout is not None and process.stderr is not None
        said = asyncio.create_task(process.stderr.read(), name=f"stderr:{number}")
        try:
            while True:
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                message = decode_from_worker(await process.stdout.readexactly(size))
                if isinstance(message, Fault):
                    self._lost = WorkerLost(message.text)
                self._take(number, message)
                self._news.set()
        except asyncio.IncompleteReadError:
            pass
        except msgspec.DecodeError as exc:
            self._lost = WorkerLost(f"worker {number} spoke nonsense: {exc}")
        lines = (await said).decode(errors="replace").strip().splitlines()
        if await process.wait() != 0 and self._lost is None:
            self._lost = WorkerLost(lines[-1].strip() if lines else f"worker {number} ended with code {process.returncode}")
        self._news.set()
