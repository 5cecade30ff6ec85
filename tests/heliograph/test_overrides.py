"""The part of a process that keeps overrides: how one without clients learns of them, and what metrics are told."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from broker.audit import AuditFilter
from broker.engines.memory.engine import MemoryEngine
from broker.overrides import Kind, OverrideDraft
from broker.present_overrides import PresentOverrides
from broker.store.store import open_store
from config.clock import ManualClock
from config.settings import Settings
from heliograph.ending import Ending
from heliograph.ground import Ground
from heliograph.overrides import OverridesPart


@pytest.fixture
async def open_process(store_file):
    """Open the store as a process would; they share its file."""
    async with AsyncExitStack() as resources:

        async def open_one(clock):
            store = await open_store(f"sqlite:///{store_file}", clock=clock)
            resources.push_async_callback(store.close)
            present = PresentOverrides(store.overrides, clock)
            return Ground(Settings(), clock, MemoryEngine(clock), store, "p-1", resources, present)

        yield open_one


def active(kind):
    return REGISTRY.get_sample_value("heliograph_override_active", {"kind": kind})


async def ends_written(store, count):
    async with asyncio.timeout(30):  # only ends a hang
        while True:
            await store.audit.settle()
            found, _ = await store.audit.search(AuditFilter(action="override.ended"), limit=10)
            if found:
                break
    assert len(found) == count


async def test_a_process_without_clients_learns_of_them_by_looking(open_process):
    clock = ManualClock()
    api, pusher = await open_process(clock), await open_process(clock)

    async def say(target):
        end = clock.now() + timedelta(seconds=60)
        await api.store.overrides.set(OverrideDraft(Kind.PAUSE_LANE, target, None, "a test", end))

    async def learn(count):
        """Give it a second; the store answers from a thread, so that its turn comes when it comes."""
        until = clock.monotonic() + 1.0
        async with asyncio.timeout(30):  # only ends a hang
            while len(pusher.overrides.now.overrides) != count:
                await clock.advance(0.1 if clock.monotonic() < until else 0.0)
                await asyncio.sleep(0)

    await say("bulk")
    part = OverridesPart(pusher, is_told=False)
    await part.open()
    assert len(pusher.overrides.now.overrides) == 1, "what held before the start holds from the start"
    running = asyncio.create_task(part.run())
    await part.started.wait()
    assert (active("pause_lane"), active("only_critical")) == (1, 0)
    await say("normal")
    await learn(2)
    assert active("pause_lane") == 2
    await clock.advance(60)
    assert active("pause_lane") == 0
    await ends_written(api.store, 2)
    await part.stop(Ending())
    await running
    assert active("pause_lane") is None


async def test_a_process_that_is_told_does_not_look(open_process):
    clock = ManualClock()
    ground = await open_process(clock)
    part = OverridesPart(ground, is_told=True)
    await part.open()
    running = asyncio.create_task(part.run())
    await part.started.wait()
    await asyncio.sleep(0)
    assert clock._sleepers == []
    await part.stop(Ending())
    await running
