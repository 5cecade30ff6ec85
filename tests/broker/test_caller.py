import asyncio

import pytest

from broker.caller import SYSTEM, Actor, ActorKind, Caller, bind_caller, caller, within
from config.correlation import CORRELATION_ID
from gateway.session.eager import step

ANN = Caller(Actor(ActorKind.USER, "ann"), "192.0.2.7", "websocket", "client-1")
BEN = Caller(Actor(ActorKind.USER, "ben"), "192.0.2.8", "websocket", "client-2")


async def test_nobody_asked_for_what_the_system_does() -> None:
    assert caller() is SYSTEM


async def test_a_binding_holds_in_its_task_and_in_those_that_it_makes() -> None:
    async def request() -> Caller:
        bind_caller(ANN)
        return await asyncio.create_task(later())

    async def later() -> Caller:
        await asyncio.sleep(0)
        return caller()

    assert await asyncio.create_task(request()) == ANN
    assert caller() is SYSTEM


async def test_work_within_sees_its_caller_before_and_after_it_waits_and_nobody_else_does() -> None:
    gate, seen = asyncio.Event(), []

    async def work() -> str:
        seen.append((caller(), CORRELATION_ID.get()))
        await gate.wait()
        seen.append((caller(), CORRELATION_ID.get()))
        return "done"

    async def command(who: Caller) -> None:
        assert await within(who, work()) == "done"

    # As a session does it: stepped here, finished in a task. What comes next in this turn must not inherit the caller.
    rests = []
    for who in (ANN, BEN):
        rest = step(command(who))
        assert caller() is SYSTEM
        assert rest is not None
        rests.append(asyncio.create_task(rest))
    gate.set()
    await asyncio.gather(*rests)
    assert seen == [(ANN, "client-1"), (BEN, "client-2"), (ANN, "client-1"), (BEN, "client-2")]
    assert not CORRELATION_ID.get()


async def test_what_work_within_raises_and_its_cancellation_pass_through() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(ANN, fails())

    cleaned = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(caller())

    task = asyncio.create_task(within(ANN, waits()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [ANN]


async def test_a_timeout_works_within() -> None:
    async def slow() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await within(ANN, slow())
