"""What every scenario is conducted with: conditions, what was collected, the observer, and the way to stop."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from loadtest.measure import Collection
from loadtest.messages import TICK_S, Finish, Open, SubscriberPart
from loadtest.observer import Observer
from loadtest.result import Failure, ServerSample
from loadtest.swarm import Crew
from loadtest.target import Target

__all__ = [
    "Conditions",
    "NothingMeasured",
    "Session",
    "Snapshot",
    "alongside",
    "busy_warnings",
    "cpu_seconds",
    "failures_of",
    "most_common",
    "share_out",
    "show_ms",
    "soon_ns",
]

# Orders travel to the workers before the moment they name.
_HEAD_START_NS = 200_000_000
# From here on a worker is told of: its share of a core, and how late its loop was.
_BUSY, _LAG_S = 0.9, 0.05


class NothingMeasured(Exception):
    """The run ended without a figure; the text is one line that says why."""


class Conditions(msgspec.Struct, frozen=True):
    """What does not depend on the scenario.

    Attributes:
        target: Where the API is called, and where subscribers connect unless `nodes` are named.
        secret: Signs the clients' tokens; empty: they send none.
        nodes: Where subscribers connect, as evenly shared out as processes allow.
    """

    target: Target
    api_key: str
    secret: str
    processes: int = 1
    cpu: int | None = None
    nodes: tuple[Target, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """Every address that is talked to, each once."""
        return list(dict.fromkeys((self.target, *self.nodes)))


class Snapshot(msgspec.Struct, frozen=True):
    """What the terminal shows at a moment: where the run stands, and figures by their names."""

    stage: str
    figures: dict[str, str]


class Session:
    """One run: the scenario writes `stage` and `figures`, the progress display reads them."""

    def __init__(self, conditions: Conditions, observer: Observer, stop: asyncio.Event) -> None:
        self.conditions = conditions
        self.observer = observer
        self.stop = stop
        self.collection = Collection()
        self.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.stage = "starting"
        self.figures: Callable[[], dict[str, str]] = dict
        self.server = ""

    def snapshot(self) -> Snapshot:
        """What to show now."""
        return Snapshot(self.stage, self.figures())

    async def prepare(self, crew: Crew, workers: int) -> None:
        """Await that every worker is ready to begin."""
        self.stage = "preparing"
        await crew.until(lambda: len(self.collection.prepared) == workers, stop=self.stop)

    async def open_clients(self, crew: Crew, workers: range) -> None:
        """Connect all subscribers and await the last of them.

        Raises:
            NothingMeasured: None could subscribe.
        """
        if not workers:
            return  # somebody else subscribes
        self.stage = "connecting"
        origin_ns = soon_ns()
        self.observer.restart(origin_ns)
        await crew.send(Open(origin_ns), *workers)
        await crew.until(lambda: len(self.collection.opened) == len(workers), stop=self.stop)
        opened = self.collection.opened.values()
        if len(opened) == len(workers) and not any(part.subscribed for part in opened):
            raise NothingMeasured(f"no client could subscribe: {most_common(part.failures for part in opened)}")

    async def finish_clients(self, crew: Crew, workers: range, finish: Finish) -> None:
        """Let the subscribers judge and leave."""
        if not workers:
            return
        self.stage = "finishing"
        await crew.send(finish, *workers)
        await crew.until(lambda: len(self.collection.subscribers) == len(workers), limit_s=30.0)


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` while the body runs, then cancel it; if it failed, so does the block, unless the body did already."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def soon_ns() -> int:
    """A moment that all workers can still make."""
    return time.monotonic_ns() + _HEAD_START_NS


def share_out(part: SubscriberPart, processes: int, nodes: Sequence[Target] = ()) -> list[SubscriberPart]:
    """Divide a swarm among processes, as evenly as whole clients allow; with nodes, at least a process for each."""
    processes = max(processes, len(nodes))
    base, more = divmod(part.count, processes)
    shares: list[SubscriberPart] = []
    first = part.first
    for number in range(processes):
        count = base + (number < more)
        shares.append(
            msgspec.structs.replace(
                part,
                target=nodes[number % len(nodes)] if nodes else part.target,
                first=first,
                count=count,
                at_once=max(1, part.at_once // processes),
                rate_per_s=part.rate_per_s / processes,
            )
        )
        first += count
    return [share for share in shares if share.count]


def most_common(failures: Iterable[dict[str, int]]) -> str:
    """The text of the most frequent failure."""
    counted: Counter[str] = Counter()
    for part in failures:
        counted.update(part)
    return counted.most_common(1)[0][0] if counted else "no reason was told"


def failures_of(named: Sequence[tuple[str, Iterable[dict[str, int]]]]) -> list[Failure]:
    """Turn counted texts of many workers into failures, the most frequent first."""
    found: list[Failure] = []
    for meaning, parts in named:
        counted: Counter[str] = Counter()
        for part in parts:
            counted.update(part)
        found += [Failure(text, count, meaning) for text, count in counted.most_common()]
    return found


def cpu_seconds(samples: Sequence[ServerSample], begin_s: float, end_s: float) -> float:
    """CPU seconds that the server used between two moments, from its samples; parts of a sample count in proportion."""
    used, since_s = 0.0, 0.0
    for sample in samples:
        overlap_s = min(sample.at_s, end_s) - max(since_s, begin_s)
        used += max(0.0, overlap_s) * sample.cpu_percent / 100
        since_s = sample.at_s
    return used


def busy_warnings(collection: Collection, phase: str, measured: range) -> list[str]:
    """Tell of worker processes that were themselves at their limit over the measured seconds."""
    used_s: dict[int, float] = {}
    lag_s = 0.0
    for worker, tick in collection.of_phase(phase):
        if int(tick.slot * TICK_S) in measured:
            used_s[worker] = used_s.get(worker, 0.0) + tick.cpu_s
            lag_s = max(lag_s, tick.lag_s)
    busiest = max(used_s.values(), default=0.0) / max(1, len(measured))
    found: list[str] = []
    if busiest >= _BUSY:
        found.append(f"a measuring process used {busiest:.0%} of a core: the figures may be its limit, try more --processes")
    if lag_s >= _LAG_S:
        found.append(f"a measuring process was up to {lag_s * 1000:,.0f} ms behind, which is a part of the latencies told")
    return found


def show_ms(value_ms: float | None) -> str:
    """Write milliseconds for the terminal."""
    return "–" if value_ms is None else f"{value_ms:.2f} ms"
