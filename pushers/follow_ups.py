"""Sees to passages: decides what comes next where deliveries are through, and writes down those that take longer."""

import asyncio
from collections.abc import Sequence

import msgspec

from broker.errors import StoreUnavailable
from broker.ledger import Passage, PlanDone, Step
from config.clock import Clock
from config.logs import get_logger
from pushers.haste import Haste
from pushers.passages import LINGER_S, Passages, next_step
from pushers.planner import Planner
from pushers.recorder import Recorder

__all__ = ["FollowUps"]

_log = get_logger()


class FollowUps:
    """Runs beside claims until it is cancelled; then nothing is decided any more, and `Passages.give_up` has the rest."""

    def __init__(self, passages: Passages, planner: Planner, recorder: Recorder, clock: Clock, haste: Haste) -> None:
        self._passages, self._planner, self._recorder, self._clock = passages, planner, recorder, clock
        self._haste = haste

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._decide_forever(), name="passages:decide")
            group.create_task(self._open_forever(), name="passages:open")

    async def _decide_forever(self) -> None:
        while True:
            await self._passages.any_through.wait()
            await self._go_on(self._passages.take_through())

    async def _open_forever(self) -> None:
        while True:
            await self._passages.any_open.wait()
            while len(self._passages):
                await self._clock.sleep(LINGER_S / 2)
                self._recorder.add_passages(self._passages.take_lingering())

    async def _go_on(self, through: Sequence[Passage]) -> None:
        decided: dict[str, PlanDone] = {}
        steps = [step for passage in through if (step := _next_step(passage)) is not None]
        try:
            decided = {done.step.id: done for done in await self._planner.decide(steps, self._haste.turn)}
        except StoreUnavailable:
            pass  # undecided, the plan falls due; the claim tells of the outage
        except Exception:  # the edge of a batch: an error of ours must not keep what was made from being written
            _log.exception("plan.broke", plans=len(steps))
        finally:  # also when cancelled
            self._recorder.add_passages(
                [msgspec.structs.replace(passage, then=decided.get(passage.plan.step.id)) for passage in through]
            )


def _next_step(passage: Passage) -> Step | None:
    try:
        return next_step(passage)
    except Exception:  # the edge of a passage: what was made is written all the same, and the plan falls due by itself
        _log.exception("plan.broke", notification=passage.plan.step.notification.id)
        return None
