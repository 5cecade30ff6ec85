"""The notifying process: hands notifications to the API, in requests of many users, and remembers every id."""

import asyncio
import itertools
import time
from collections import Counter

import msgspec

from loadtest.histogram import Histogram
from loadtest.http_client import HttpConnection, HttpFailed
from loadtest.messages import Accepted, Finish, Measure, NotifierFinal, NotifierPart, Prepared
from loadtest.tally import Tally
from loadtest.workers.pipe import Pipe, Ticker

__all__ = ["notify"]


class _Stored(msgspec.Struct, frozen=True):
    id: str


class _Notifications(msgspec.Struct, frozen=True):
    notifications: list[_Stored] = []


class _Problem(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    result: _Notifications = _Notifications()
    error: _Problem | None = None


_answer: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


async def notify(part: NotifierPart, pipe: Pipe) -> None:
    """Serve one `NotifierPart`: notify when told to measure, then tell what was accepted and end."""
    pipe.send(Prepared())
    message = await pipe.receive()
    if not isinstance(message, Measure):
        return
    tally = Tally()
    run = _Run(part, tally, pipe, message.origin_ns)
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(Ticker(pipe, "measure", message.origin_ns, tally).run(), name="ticks")
        stopping = tasks.create_task(_stop_when_told(run, pipe), name="stop")
        await run.notify()
        ticking.cancel()
        stopping.cancel()
    elapsed_s = max(0.0, (time.monotonic_ns() - message.origin_ns) / 1e9)
    pipe.send(NotifierFinal(elapsed_s, run.answers.counts(), dict(run.failures)))


async def _stop_when_told(run: "_Run", pipe: Pipe) -> None:
    while not isinstance(await pipe.receive(), Finish):
        pass
    run.is_stopped = True


class _Run:
    """One run of notifying over several connections that share one list of requests."""

    def __init__(self, part: NotifierPart, tally: Tally, pipe: Pipe, origin_ns: int) -> None:
        self.answers = Histogram()
        self.failures: Counter[str] = Counter()
        self.is_stopped = False
        self._part = part
        self._tally = tally
        self._pipe = pipe
        self._origin_ns = origin_ns
        self._requests = enumerate(range(0, part.count, part.per_request))
        self._users = itertools.cycle(part.users)

    async def notify(self) -> None:
        """Send all requests."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._part.connections):
                tasks.create_task(self._run_connection(), name=f"connection:{number}")

    async def _run_connection(self) -> None:
        part = self._part
        connection = HttpConnection(part.target, part.api_key, timeout_s=60.0)
        for index, first in self._requests:
            due_s = index * part.per_request / part.rate_per_s if part.rate_per_s else 0.0
            ahead_s = self._origin_ns / 1e9 + due_s - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            if self.is_stopped:
                break
            await self._request(connection, list(itertools.islice(self._users, min(part.per_request, part.count - first))))
        await connection.aclose()

    async def _request(self, connection: HttpConnection, users: list[str]) -> None:
        sent_at, sent_ns = time.time(), time.monotonic_ns()
        try:
            status, answer = await connection.post("/api/notify", self._make_body(users))
        except HttpFailed as exc:
            self._fail(f"notify: {exc}", len(users))
            return
        self.answers.record(time.monotonic_ns() - sent_ns)
        try:
            decoded = _answer.decode(answer) if status == 200 else _Answer()
        except msgspec.DecodeError:
            status, decoded = 0, _Answer()
        if status != 200 or decoded.error is not None:
            error = decoded.error
            self._fail(f"notify: error {error.code} {error.message}" if error else f"notify: HTTP {status}", len(users))
            return
        ids = [stored.id for stored in decoded.result.notifications]
        self._pipe.send(Accepted(ids, sent_at))
        self._tally.add("accepted", len(ids))
        self._tally.add("requests")

    def _make_body(self, users: list[str]) -> bytes:
        return msgspec.json.encode(
            {
                "users": users,
                "title": "Load test",
                "body": "A notification that measures how fast it travels.",
                "category": "loadtest",
                "priority": self._part.priority,
                "routes": self._part.routes,
                "push_wait_s": 0,
            }
        )

    def _fail(self, text: str, count: int) -> None:
        self.failures[text] += count
        self._tally.add("errors", count)
