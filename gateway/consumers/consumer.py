"""A consumer: takes items from its source, makes their calls, and settles what became of them.

A batch is in flight at a time. Its keys go side by side, each key's items one after the other: one that has to be tried again
takes the later ones of its key with it, so that none overtakes it. What a batch has no time left for is given back.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import Unavailable
from broker.event_source import Again, Dead, Done, EventSource, Item, Settled
from broker.last_look import NO_LOOK
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger
from gateway.api.call import Calls
from gateway.consumers.metrics import Metrics
from gateway.consumers.verdict import RetryRule, carry_out

__all__ = ["Consumer"]

_log = get_logger()

_POLL_S: Final = 1.0
_MEASURE_S: Final = 5.0
# After so long no further call of a batch begins: sources hold what was fetched for a limited time.
_BATCH_S: Final = 10.0


class Consumer:
    """One entry of `consumers`. The source is closed when `run` ends.

    Args:
        batch: How many items are fetched at once.
    """

    def __init__(
        self,
        name: str,
        source: EventSource,
        calls: Calls,
        metrics: Metrics,
        clock: Clock,
        *,
        batch: int = 100,
        rule: RetryRule = RetryRule(),  # noqa: B008 (frozen)
    ) -> None:
        self.name = name
        self.ended = asyncio.Event()
        self._source, self._calls, self._metrics, self._clock = source, calls, metrics, clock
        self._batch, self._rule = batch, rule
        self._source_outage = Outage(f"source of consumer {name}", clock)
        self._call_outage = Outage(f"calls of consumer {name}", clock)
        self._stop_asked = asyncio.Event()
        self._measure_at = clock.monotonic()
        self.last = NO_LOOK
        """What came of asking the source the last time."""
        metrics.watch(name)

    async def run(self) -> None:
        """Work until `stop` is called; one call per object."""
        bind_caller(Caller(Actor(ActorKind.SYSTEM, f"consumer:{self.name}"), transport="consumer"))
        try:
            while not self._stop_asked.is_set():
                try:
                    await self._turn()
                except Unavailable as exc:
                    await self._pause(self._source_outage.failed(exc))
                except Exception:  # the edge of a consumer: a bug of ours ends no other part of the process
                    _log.exception("consumer.broke", consumer=self.name)
                    await self._pause(_POLL_S)
        finally:
            await self._source.close()
            self.ended.set()

    def stop(self) -> None:
        """Begin no further call; `run` returns when those under way are settled. May come twice, or before the start."""
        self._stop_asked.set()

    async def _turn(self) -> None:
        """Do one batch, or wait for one."""
        items = await self._fetch()
        settled = await self._work(items)
        if items:
            await self._source.settle(settled)
            self._tell(settled)
        self._source_outage.ended()
        if any(isinstance(end, Done | Dead) for _, end in settled):
            self._call_outage.ended()
        elif settled and not any(isinstance(end, Again) and end.counts for _, end in settled):
            # Something that all calls need is away: trying every key in turn would only write every row.
            await self._pause(self._call_outage.failed(Unavailable("nothing could be carried out")))
            return
        if self._clock.monotonic() >= self._measure_at:
            self._measure_at = self._clock.monotonic() + _MEASURE_S
            self._metrics.measured(self.name, await self._source.backlog())
        if not items:
            await self._until_stop(self._source.wait(_POLL_S))

    async def _fetch(self) -> Sequence[Item]:
        began = self._clock.monotonic()
        try:
            items = await self._source.fetch(self._batch)
        except Unavailable as exc:
            self.last = self.last.then(str(exc), self._clock.monotonic() - began, self._clock.now())
            raise
        self.last = self.last.then("", self._clock.monotonic() - began, self._clock.now())
        return items

    async def _work(self, items: Sequence[Item]) -> list[Settled]:
        """Make the calls of a batch; what is not begun is not in the answer."""
        by_key: dict[str, list[Item]] = {}
        for item in items:
            by_key.setdefault(item.key, []).append(item)
        deadline = self._clock.monotonic() + _BATCH_S
        parts = await asyncio.gather(*(self._work_on_key(ordered, deadline) for ordered in by_key.values()))
        return [settled for part in parts for settled in part]

    async def _work_on_key(self, ordered: Sequence[Item], deadline: float) -> list[Settled]:
        settled: list[Settled] = []
        for place, item in enumerate(ordered):
            if self._stop_asked.is_set() or self._clock.monotonic() >= deadline:
                break
            end = await self._carry_out(item)
            settled.append((item, end))
            if isinstance(end, Again):
                settled += [(later, Again(end.delay_s, counts=False)) for later in ordered[place + 1 :]]
                break
        return settled

    async def _carry_out(self, item: Item) -> Done | Dead | Again:
        try:
            return await carry_out(item, self._calls, self._rule, self._clock, consumer=self.name)
        except Exception:  # the edge of an item: the others of its batch go on
            _log.exception("consumer.item_broke", consumer=self.name, item=item.id, method=item.method)
            return self._rule.after(item, "an error of ours", self._clock.spread())

    def _tell(self, settled: Sequence[Settled]) -> None:
        for item, end in settled:
            self._metrics.ended(self.name, end)
            if isinstance(end, Dead):
                _log.warning("consumer.dead", consumer=self.name, item=item.id, method=item.method[:64], reason=end.reason)

    async def _pause(self, seconds: float) -> None:
        await self._until_stop(self._clock.sleep(seconds))

    async def _until_stop(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait, but not longer than until the stop; raises what the waiting raised."""
        task = asyncio.ensure_future(waiting)
        stopping = asyncio.ensure_future(self._stop_asked.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (task, stopping):
                one.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)
        if not task.cancelled():
            task.result()
