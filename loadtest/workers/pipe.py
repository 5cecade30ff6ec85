"""A worker's end of the pipe to the conductor: messages in from standard input, out to standard output."""

import asyncio
import os
import time

from loadtest.messages import TICK_S, FromWorker, Tick, ToWorker, decode_to_worker, encode_message
from loadtest.tally import Tally

__all__ = ["ConductorGone", "Pipe", "Ticker"]


class ConductorGone(Exception):
    """The conducting process ended; there is nobody to measure for."""


class Pipe:
    """Both directions; sending blocks when the conductor does not read, which it always does."""

    def __init__(self, reader: asyncio.StreamReader, output: int) -> None:
        self._reader = reader
        self._output = output

    async def receive(self) -> ToWorker:
        """Await the next message; raises ConductorGone at the end of the stream."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            return decode_to_worker(await self._reader.readexactly(size))
        except asyncio.IncompleteReadError as exc:
            raise ConductorGone from exc

    def send(self, message: FromWorker) -> None:
        """Send one message, whole."""
        view = memoryview(encode_message(message))
        while view:
            view = view[os.write(self._output, view) :]


class Ticker:
    """Cuts time into slots of TICK_S from an origin and tells what a tally counted in each."""

    def __init__(self, pipe: Pipe, phase: str, origin_ns: int, tally: Tally) -> None:
        self._pipe = pipe
        self._phase = phase
        self._origin_ns = origin_ns
        self._tally = tally
        self._slot = max(0, self._slot_now())
        self._cpu_s = time.process_time()

    async def run(self) -> None:
        """Flush at the end of every slot, until cancelled; what the last slot holds so far is flushed then."""
        try:
            while True:
                boundary_ns = self._origin_ns + int((self._slot + 1) * TICK_S * 1e9)
                await asyncio.sleep(max(0.0, (boundary_ns - time.monotonic_ns()) / 1e9))
                self._flush((time.monotonic_ns() - boundary_ns) / 1e9)
        finally:
            self._flush(0.0)

    def _flush(self, lag_s: float) -> None:
        cpu_s = time.process_time()
        counts, latency = self._tally.take()
        self._pipe.send(Tick(self._phase, self._slot, counts, latency, self._tally.connected, cpu_s - self._cpu_s, lag_s))
        self._cpu_s = cpu_s
        self._slot = max(self._slot + 1, self._slot_now())

    def _slot_now(self) -> int:
        # A timer may fire a little early: a fiftieth of a slot rounds up.
        return int((time.monotonic_ns() - self._origin_ns) / 1e9 / TICK_S + 0.02)
