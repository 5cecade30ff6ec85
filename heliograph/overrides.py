"""The part of a process that keeps what operators say otherwise: learnt from the store, ended by the clock, told to metrics.

A process with clients learns of changes beside its other rules, over control. One without has nobody who tells it, and looks
into the store twice a second: one small read.
"""

import asyncio
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.registry import Collector

from broker.override_endings import OverrideEndings
from broker.rules import Subject
from gateway.override_metrics import OverrideCollector
from gateway.rule_age_metrics import RuleAgeCollector
from gateway.rule_watch import RuleWatch
from heliograph.ending import Ending
from heliograph.ground import Ground

__all__ = ["OverridesPart"]

_LOOK_S: Final = 0.5


class OverridesPart:
    """Runs from before anything is served to after everything has ended.

    Args:
        is_told: Somebody else in this process reads them when they change.
    """

    def __init__(self, ground: Ground, *, is_told: bool) -> None:
        self._present = present = ground.overrides
        readers = {Subject.OVERRIDES: present.load}
        self._watch = None if is_told else RuleWatch(ground.store.rule_versions, readers, ground.clock, poll_s=_LOOK_S)
        self._endings = OverrideEndings(ground.store.overrides, present, ground.clock)
        self._stopped = asyncio.Event()
        self.started = asyncio.Event()

    async def open(self) -> None:
        """Read them before anything is done that they forbid; tried until the store answers."""
        if self._watch is not None:
            await self._watch.load()

    async def run(self) -> None:
        collectors: list[Collector] = [OverrideCollector(self._present)]
        if self._watch is not None:
            collectors.append(RuleAgeCollector(self._watch.ages))
        for collector in collectors:
            REGISTRY.register(collector)
        try:
            async with asyncio.TaskGroup() as group:
                duties = [
                    group.create_task(self._present.run(), name="overrides"),
                    group.create_task(self._endings.run(), name="overrides:endings"),
                ]
                if self._watch is not None:
                    duties.append(group.create_task(self._watch.run(), name="overrides:watch"))
                self.started.set()
                await self._stopped.wait()
                for duty in duties:
                    duty.cancel()
        finally:
            for collector in collectors:
                REGISTRY.unregister(collector)

    async def stop(self, _ending: Ending) -> None:
        self._stopped.set()
