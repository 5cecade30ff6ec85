"""What is claimed as it is stored: when it is asked for, in which context it runs, and how it ends."""

import asyncio
from contextvars import ContextVar

import pytest

from broker.errors import StoreUnavailable
from broker.outage import Outage
from config.clock import settle
from pushers.express import Express
from pushers.haste import Haste

ASKER: ContextVar[str] = ContextVar("asker", default="")


@pytest.fixture
def haste(clock):
    return Haste(clock)


@pytest.fixture
def make(clock, haste):
    def make(begin, wants=lambda: True):
        return Express("w1", 30.0, clock, wants=wants, begin=begin, outage=Outage("store", clock), haste=haste)

    return make


async def nothing(_steps):
    pass


async def test_it_asks_while_it_is_open_and_there_is_room(make, clock):
    room = []
    express = make(nothing, wants=lambda: bool(room))
    room.append(1)
    assert express.asks() is None
    async with asyncio.TaskGroup() as group:
        express.open(group)
        ask = express.asks()
        assert (ask.worker, (ask.lease_until - clock.now()).total_seconds()) == ("w1", 30)
        room.clear()
        assert express.asks() is None
        room.append(1)
        await express.close()
        assert express.asks() is None


async def test_what_it_begins_knows_nothing_of_the_request(make):
    seen = []

    async def begin(_steps):
        seen.append(ASKER.get())

    express = make(begin)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        bound = ASKER.set("somebody")
        assert express.take(["a step"])
        ASKER.reset(bound)
    assert seen == [""]


async def test_nothing_is_taken_before_it_opens_after_it_closes_and_where_the_pipeline_broke(make):
    express = make(nothing)
    assert not express.take(["a step"])
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            express.open(group)
            raise ZeroDivisionError
    assert not express.take(["a step"])
    async with asyncio.TaskGroup() as group:
        express.open(group)
        await express.close()
    assert not express.take(["a step"])


async def test_closing_breaks_off_what_is_being_decided(make):
    begun, ended = asyncio.Event(), []

    async def begin(_steps):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    express = make(begin)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        express.take(["a step"])
        await begun.wait()
        await express.close()
        assert ended == [1]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError()])
async def test_an_error_ends_nothing_but_what_it_met(make, error):
    done = []

    async def begin(steps):
        if steps == ["broken"]:
            raise error
        done.extend(steps)

    express = make(begin)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        express.take(["broken"])
        express.take(["whole"])
    assert done == ["whole"]


async def test_others_rest_from_the_question_until_the_calls_have_begun(make, haste):
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def begin(_steps):
        begun.set()
        await may_end.wait()

    express = make(begin)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        assert not haste.rests
        express.asks()
        assert haste.rests
        express.take(["a step"])
        await begun.wait()
        assert haste.rests
        may_end.set()
    assert not haste.rests
    assert haste.is_on


@pytest.mark.parametrize("error", [None, StoreUnavailable("away"), ZeroDivisionError()])
async def test_others_rest_no_longer_where_nothing_comes_of_it(make, haste, clock, error):
    async def begin(_steps):
        if error:
            raise error

    express = make(begin)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        for steps in ([], ["a step"]):
            express.asks()
            assert haste.rests
            assert express.take(steps)
            await settle()
            assert not haste.rests
            clock.move(0.1)
        express.asks()
        await express.close()
        assert not express.take(["a step"])
        assert not haste.rests


async def test_nobody_rests_for_what_is_not_asked_for(make, haste):
    express = make(nothing, wants=lambda: False)
    async with asyncio.TaskGroup() as group:
        express.open(group)
        assert express.asks() is None
    assert not haste.rests
    assert not haste.is_on
