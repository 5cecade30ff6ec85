"""Writes down what became of steps, as many as have gathered, in one transaction after another.

While one transaction is under way the next one gathers, so that the size of batches follows the load by itself; where much is
under way and little has come yet, it waits a moment for more. What the store does not take is kept and tried again; nothing
is forgotten but by the death of the process, and then the leases run out. The store may hold a result twice only as a line of
the timeline.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from broker.bell import Bell
from broker.errors import StoreUnavailable
from broker.ledger import Ledger, Passage, PlanDone, SendDone
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger
from pushers.completion import to_completion
from pushers.haste import Haste
from pushers.leases import Held
from pushers.passages import Passages

__all__ = ["Recorder"]

_log = get_logger()

Written = Callable[[Sequence[PlanDone], Sequence[SendDone]], None]

T = TypeVar("T", PlanDone, SendDone)

# Bounds the length of a transaction, and so how long it keeps others from the store.
_MOST: Final = 1000
_MOST_IN_HASTE: Final = 75
# With at least so many steps under way, fewer results than that wait so long for others: a transaction for each few of them
# costs a slow provider's mails a quarter as much again.
_MANY: Final = 100
_GATHER_S: Final = 0.02


class Recorder:
    """The one who writes. `room` holds back whoever brings more while too much is unwritten.

    Args:
        passages: Those under way: the end of a delivery of theirs goes to them, and comes back with all the others.
    """

    def __init__(
        self, ledger: Ledger, held: Held, clock: Clock, *, bound: int, written: Written, passages: Passages, haste: Haste
    ) -> None:
        self._ledger, self._held, self._clock, self._bound, self._written = ledger, held, clock, bound, written
        self._under_way, self._haste = passages, haste
        self._passages: list[Passage] = []
        self._plans: list[PlanDone] = []
        self._sends: list[SendDone] = []
        self._bell = Bell(clock)
        self._outage = Outage("store", clock)
        self._writing = 0
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        """Count what is not written yet."""
        return len(self._passages) + len(self._plans) + len(self._sends) + self._writing

    def add_plans(self, plans: Sequence[PlanDone]) -> None:
        """Have decisions written."""
        self._plans += plans
        self._bell.ring()

    def add_passages(self, passages: Sequence[Passage]) -> None:
        """Have decisions written with the deliveries that were begun under their leases."""
        self._passages += passages
        self._bell.ring()

    def add_send(self, done: SendDone) -> None:
        """Have the end of an attempt written."""
        if not self._under_way.take(done):
            self._sends.append(done)
            self._bell.ring()

    async def room(self) -> None:
        """Wait until less than the bound is unwritten."""
        while len(self) >= self._bound:
            await self._wait_for_move()

    async def drained(self) -> None:
        """Wait until everything is written."""
        while len(self):
            await self._wait_for_move()

    async def run(self) -> None:
        """Write whatever comes, until cancelled."""
        while True:
            await self._bell.wait()
            while self._passages or self._plans or self._sends:
                if len(self) < _MANY <= len(self._held):
                    await self._clock.sleep(_GATHER_S)
                if self._haste.rests:
                    await self._haste.turn()
                await self._write()
                self._moved.set()

    async def _wait_for_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _write(self) -> None:
        batch = self._next_batch()
        self._writing = len(batch)
        try:
            await self._record(batch)
        except StoreUnavailable as exc:
            self._keep(batch)
            self._writing = 0
            await self._clock.sleep(self._outage.failed(exc))
            return
        except Exception:  # the edge of a batch: an error of ours in one result must not take the others down
            _log.exception("record.failed", results=len(batch))
            for one in batch.single():
                await self._write_single(one)
        else:
            self._outage.ended()
        self._writing = 0

    def _next_batch(self) -> "_Batch":
        """Take results to be written, each under the newest lease of its step."""
        most = _MOST_IN_HASTE if self._haste.is_on else _MOST
        passages, self._passages = self._passages[:most], self._passages[most:]
        plans, self._plans = self._plans[:most], self._plans[most:]
        sends: list[SendDone] = []
        if not self._passages:  # one of those may open the step whose end this is
            sends, self._sends = self._sends[:most], self._sends[most:]
        return _Batch(
            [self._taken_passage(passage) for passage in passages],
            [self._taken(plan) for plan in plans],
            [self._taken(send) for send in sends],
        )

    async def _record(self, batch: "_Batch") -> None:
        await to_completion(self._ledger.record(batch.plans, batch.sends, batch.passages))
        self._written(*batch.told())

    async def _write_single(self, one: "_Batch") -> None:
        """Find the one that cannot be written: its lease runs out and the step is taken over, the others are saved."""
        try:
            await self._record(one)
        except StoreUnavailable:
            self._keep(one)
        except Exception:  # the edge of a result
            _log.exception("record.failed", notification=one.notification_id)

    def _keep(self, batch: "_Batch") -> None:
        """Have results written again; it is unknown whether they were, and writing them twice under one lease is safe."""
        self._passages[:0] = [passage for passage in batch.passages if self._held.restore(passage.plan.step)]
        self._plans[:0] = [plan for plan in batch.plans if self._held.restore(plan.step)]
        self._sends[:0] = [send for send in batch.sends if self._held.restore(send.step)]

    def _taken(self, done: T) -> T:
        step = self._held.current(done.step)
        self._held.drop(step)
        return done if step is done.step else msgspec.structs.replace(done, step=step)

    def _taken_passage(self, passage: Passage) -> Passage:
        plan = self._taken(passage.plan)
        return passage if plan is passage.plan else msgspec.structs.replace(passage, plan=plan)


class _Batch(msgspec.Struct, frozen=True):
    """Results that are written in one transaction."""

    passages: Sequence[Passage]
    plans: Sequence[PlanDone]
    sends: Sequence[SendDone]

    def __len__(self) -> int:
        return len(self.passages) + len(self.plans) + len(self.sends)

    @property
    def notification_id(self) -> str:
        """Of a single result."""
        steps = [
            *(one.plan.step for one in self.passages),
            *(one.step for one in self.plans),
            *(one.step for one in self.sends),
        ]
        return steps[0].notification.id

    def single(self) -> Iterator["_Batch"]:
        """Take it apart into results."""
        yield from (_Batch([passage], [], []) for passage in self.passages)
        yield from (_Batch([], [plan], []) for plan in self.plans)
        yield from (_Batch([], [], [send]) for send in self.sends)

    def told(self) -> tuple[Sequence[PlanDone], Sequence[SendDone]]:
        """List the decisions, and the ends of attempts after which something may fall due."""
        plans, sends = [*self.plans], [*self.sends]
        for passage in self.passages:
            plans.append(passage.plan)
            if passage.then is not None:
                plans.append(passage.then)
            else:
                sends += passage.made
        return plans, sends
