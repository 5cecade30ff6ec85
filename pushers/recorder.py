"""Writes down what became of steps, as many as have gathered, in one transaction after another.

While one transaction is under way the next one gathers, so that the size of batches follows the load by itself. What the
store does not take is kept and tried again; nothing is forgotten but by the death of the process, and then the leases run
out. The store may hold a result twice only as a line of the timeline.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from broker.bell import Bell
from broker.errors import StoreUnavailable
from broker.ledger import Ledger, PlanDone, SendDone
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger
from pushers.completion import to_completion
from pushers.leases import Held

__all__ = ["Recorder"]

_log = get_logger()

Written = Callable[[Sequence[PlanDone], Sequence[SendDone]], None]

T = TypeVar("T", PlanDone, SendDone)

# Bounds the length of a transaction, and so how long it keeps others from the store.
_MOST: Final = 1000


class Recorder:
    """The one who writes. `room` holds back whoever brings more while too much is unwritten."""

    def __init__(self, ledger: Ledger, held: Held, clock: Clock, *, bound: int, written: Written) -> None:
        self._ledger, self._held, self._clock, self._bound, self._written = ledger, held, clock, bound, written
        self._plans: list[PlanDone] = []
        self._sends: list[SendDone] = []
        self._bell = Bell(clock)
        self._outage = Outage("store", clock)
        self._writing = 0
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        """Count what is not written yet."""
        return len(self._plans) + len(self._sends) + self._writing

    def add_plans(self, plans: Sequence[PlanDone]) -> None:
        """Have decisions written."""
        self._plans += plans
        self._bell.ring()

    def add_send(self, done: SendDone) -> None:
        """Have the end of an attempt written."""
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
            while self._plans or self._sends:
                await self._write()
                self._moved.set()

    async def _wait_for_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _write(self) -> None:
        plans, self._plans = self._plans[:_MOST], self._plans[_MOST:]
        sends, self._sends = self._sends[:_MOST], self._sends[_MOST:]
        plans, sends = [self._taken(plan) for plan in plans], [self._taken(send) for send in sends]
        self._writing = len(plans) + len(sends)
        try:
            await to_completion(self._ledger.record(plans, sends))
        except StoreUnavailable as exc:
            self._keep(plans, sends)
            self._writing = 0
            await self._clock.sleep(self._outage.failed(exc))
            return
        except Exception:  # the edge of a batch: an error of ours in one result must not take the others down
            _log.exception("record.failed", plans=len(plans), sends=len(sends))
            await self._write_singly(plans, sends)
        else:
            self._outage.ended()
            self._written(plans, sends)
        self._writing = 0

    async def _write_singly(self, plans: Sequence[PlanDone], sends: Sequence[SendDone]) -> None:
        """Find the one that cannot be written: its lease runs out and the step is taken over, the others are saved."""
        for plan in plans:
            await self._write_one([plan], [])
        for send in sends:
            await self._write_one([], [send])

    async def _write_one(self, plans: list[PlanDone], sends: list[SendDone]) -> None:
        try:
            await to_completion(self._ledger.record(plans, sends))
        except StoreUnavailable:
            self._keep(plans, sends)
        except Exception:  # the edge of a result
            done: PlanDone | SendDone = plans[0] if plans else sends[0]
            _log.exception("record.failed", notification=done.step.notification.id, step=done.step.id)
        else:
            self._written(plans, sends)

    def _keep(self, plans: Sequence[PlanDone], sends: Sequence[SendDone]) -> None:
        """Have results written again; it is unknown whether they were, and writing them twice under one lease is safe."""
        self._plans[:0] = [plan for plan in plans if self._held.restore(plan.step)]
        self._sends[:0] = [send for send in sends if self._held.restore(send.step)]

    def _taken(self, done: T) -> T:
        """Take a result to be written, under the newest lease of its step."""
        step = self._held.current(done.step)
        self._held.drop(step)
        return done if step is done.step else msgspec.structs.replace(done, step=step)
