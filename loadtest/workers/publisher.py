"""The publishing process: an open loop at a fixed rate, or as fast as answers come.

At a fixed rate every publication has a moment when it is due, whatever the server does. Its stamp is the moment it is
written; but when it had to wait because all connections were still awaiting answers, its stamp is the moment it was
due, so that the waiting counts and a slow server cannot hide by slowing the measurement down.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from loadtest.histogram import Histogram
from loadtest.http_client import HttpConnection, HttpFailed
from loadtest.messages import Finish, Measure, Prepared, PublisherFinal, PublisherPart
from loadtest.sequences import SourceTotal
from loadtest.stamps import make_payload
from loadtest.tally import Tally
from loadtest.workers.pipe import Pipe, Ticker

__all__ = ["publish"]

# A timer fires up to a millisecond late; only beyond this did the server's answers hold a publication up.
_LATE_NS = 2_000_000


class _Problem(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    """An answer of the API: an error, or for a batch one reply per command, each of which may hold one."""

    error: _Problem | None = None
    replies: list["_Answer"] = []


_answer: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


async def publish(part: PublisherPart, pipe: Pipe) -> None:
    """Serve one `PublisherPart`: publish when told to measure, then tell what was published and end."""
    pipe.send(Prepared())
    message = await pipe.receive()
    if not isinstance(message, Measure):
        return
    tally = Tally()
    run = _Run(part, tally, message.origin_ns)
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(Ticker(pipe, "measure", message.origin_ns, tally).run(), name="ticks")
        stopping = tasks.create_task(_stop_when_told(run, pipe), name="stop")
        totals = await run.publish()
        ticking.cancel()
        stopping.cancel()
    pipe.send(PublisherFinal(totals, run.answers.counts(), dict(run.failures), run.late))


async def _stop_when_told(run: "_Run", pipe: Pipe) -> None:
    while not isinstance(await pipe.receive(), Finish):
        pass
    run.is_stopped = True


class _Run:
    """One run of publishing over several connections, each a source with its own numbers."""

    def __init__(self, part: PublisherPart, tally: Tally, origin_ns: int) -> None:
        self.answers = Histogram()
        self.failures: Counter[str] = Counter()
        self.late = 0
        self.is_stopped = False
        self._part = part
        self._tally = tally
        self._origin_ns = origin_ns
        self._end_ns = origin_ns + int(part.duration_s * 1e9)
        self._due = self._due_moments()

    async def publish(self) -> list[SourceTotal]:
        """Publish until the duration is over; the sources share one list of moments."""
        async with asyncio.TaskGroup() as tasks:
            sources = [
                tasks.create_task(self._run_source(number), name=f"source:{number}") for number in range(self._part.connections)
            ]
        return [source.result() for source in sources]

    def _due_moments(self) -> Iterator[int]:
        """When each request is due; 0 says at once."""
        part = self._part
        if not part.rate_per_s:
            return itertools.repeat(0)
        step_ns = 1e9 * part.batch / part.rate_per_s
        moments = (self._origin_ns + int(index * step_ns) for index in itertools.count())
        return itertools.takewhile(lambda due_ns: due_ns < self._end_ns, moments)

    async def _run_source(self, source: int) -> SourceTotal:
        connection = HttpConnection(self._part.target, self._part.api_key)
        last, refused, unknown = 0, list[int](), list[int]()
        for due_ns in self._due:
            ahead_s = ((due_ns or self._origin_ns) - time.monotonic_ns()) / 1e9
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            if self.is_stopped or time.monotonic_ns() >= self._end_ns + int(1e9) or (not due_ns and self._is_over()):
                break
            numbers = range(last + 1, last + 1 + self._part.batch)
            last = numbers[-1]
            failed, is_known = await self._request(connection, source, numbers, due_ns)
            (refused if is_known else unknown).extend(failed)
        await connection.aclose()
        return SourceTotal(source, last, refused, unknown)

    def _is_over(self) -> bool:
        return time.monotonic_ns() >= self._end_ns

    async def _request(self, connection: HttpConnection, source: int, numbers: range, due_ns: int) -> tuple[list[int], bool]:
        """Publish one request; returns the numbers that failed, and whether it is known that they did."""
        sent_ns = time.monotonic_ns()
        waited_ns = sent_ns - due_ns if due_ns else 0
        is_late = waited_ns > _LATE_NS
        self.late += is_late
        path, body = self._make_body(time.time_ns() - (waited_ns if is_late else 0), source, numbers)
        try:
            status, answer = await connection.post(path, body)
        except HttpFailed as exc:
            self._fail(f"publish: {exc}", len(numbers))
            return list(numbers), False
        self.answers.record(time.monotonic_ns() - sent_ns)
        failed = self._refused(status, answer, numbers)
        self._tally.add("publications", len(numbers) - len(failed))
        self._tally.add("requests")
        return failed, True

    def _make_body(self, time_ns: int, source: int, numbers: range) -> tuple[str, bytes]:
        part = self._part
        channel = msgspec.json.encode(part.channel).decode()
        publications = [
            f'{{"channel":{channel},"data":{make_payload(time_ns, source, number, part.size_bytes)}}}' for number in numbers
        ]
        if part.batch == 1:
            return "/api/publish", publications[0].encode()
        commands = ",".join(f'{{"publish":{publication}}}' for publication in publications)
        return "/api/batch", f'{{"commands":[{commands}]}}'.encode()

    def _refused(self, status: int, answer: bytes, numbers: range) -> list[int]:
        """Find the numbers that the server refused, and count why."""
        if status != 200:
            self._fail(f"publish: HTTP {status}", len(numbers))
            return list(numbers)
        if b'"error"' not in answer:
            return []
        decoded = _answer.decode(answer)
        replies = [decoded] * len(numbers) if decoded.error else decoded.replies
        refused = [(number, reply.error) for number, reply in zip(numbers, replies, strict=False) if reply.error]
        for _, error in refused:
            self._fail(f"publish: error {error.code} {error.message}", 1)
        return [number for number, _ in refused]

    def _fail(self, text: str, count: int) -> None:
        self.failures[text] += count
        self._tally.add("errors", count)
