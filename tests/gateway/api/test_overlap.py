"""Calls that overlap: in order, without waiting for each other's answers; and a batch that makes use of it."""

import asyncio

import msgspec
import pytest

from gateway.api.call import Calls
from gateway.api.messages import EmptyRequest
from gateway.api.method import Method, table_of
from gateway.api.overlap import Overlap


async def test_what_need_not_wait_is_done_at_once_and_without_a_task():
    done = []

    async def call(number):
        done.append(number)
        return number * 10

    before = len(asyncio.all_tasks())
    async with Overlap() as calls:
        calls.begin(call(1))
        calls.begin(call(2))
        assert (done, len(asyncio.all_tasks())) == ([1, 2], before)
    assert calls.results == [10, 20]


async def test_all_are_begun_before_one_is_answered_and_results_keep_their_order():
    begun, gates = [], [asyncio.Event() for _ in range(3)]

    async def call(number):
        begun.append(number)
        await gates[number].wait()
        return number

    async with Overlap() as calls:
        for number in range(3):
            calls.begin(call(number))
        assert begun == [0, 1, 2]
        for gate in reversed(gates):
            gate.set()
            await asyncio.sleep(0)
    assert calls.results == [0, 1, 2]


async def test_settling_waits_for_those_that_were_begun():
    gate, answered = asyncio.Event(), []

    async def call():
        await gate.wait()
        answered.append(1)

    async with Overlap() as calls:
        calls.begin(call())
        asyncio.get_running_loop().call_soon(gate.set)
        await calls.settle()
        assert answered == [1]


@pytest.mark.parametrize("ends", ["failure", "cancelled", "left by an error"])
async def test_none_is_left_behind(ends):
    begun, ended = asyncio.Event(), []

    async def call(*, fails=False):
        try:
            begun.set()
            await asyncio.sleep(0)
            if fails:
                raise LookupError("broken")
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(1)

    async def use():
        async with Overlap() as calls:
            calls.begin(call())
            calls.begin(call(fails=ends == "failure"))
            if ends == "left by an error":
                raise LookupError("elsewhere")

    using = asyncio.ensure_future(use())
    await begun.wait()
    if ends == "cancelled":
        await asyncio.sleep(0)
        using.cancel()
    with pytest.raises(asyncio.CancelledError if ends == "cancelled" else LookupError):
        await using
    assert ended == [1, 1] if ends != "left by an error" else len(asyncio.all_tasks()) == 1


class Done(msgspec.Struct):
    """Which call it was the answer of."""

    number: int


class Backend:
    """Two methods that wait for a gate, of which one may overlap."""

    def __init__(self):
        self.begun, self.gate = [], asyncio.Event()
        self.calls = Calls(
            table_of(
                [
                    Method("publish", EmptyRequest, self._handler("publish"), may_overlap=True),
                    Method("history", EmptyRequest, self._handler("history")),
                ]
            )
        )

    def _handler(self, name):
        async def handle(_request):
            self.begun.append(name)
            number = len(self.begun)
            await self.gate.wait()
            return Done(number)

        return handle

    def batch(self, *names):
        body = msgspec.json.encode({"commands": [{name: {}} for name in names]})
        return asyncio.ensure_future(self.calls.call("batch", body))


async def settled_turns():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_publications_of_a_batch_wait_together_and_everything_else_alone():
    backend = Backend()
    asked = backend.batch("publish", "publish", "history", "publish", "publish")
    await settled_turns()
    assert backend.begun == ["publish", "publish"]
    backend.gate.set()
    backend.gate = asyncio.Event()
    await settled_turns()
    assert backend.begun == ["publish", "publish", "history"]
    backend.gate.set()
    backend.gate = asyncio.Event()
    await settled_turns()
    assert backend.begun == ["publish", "publish", "history", "publish", "publish"]
    backend.gate.set()
    replies = (await asked).replies
    assert [(name, reply[name].number) for reply in replies for name in reply] == [
        ("publish", 1),
        ("publish", 2),
        ("history", 3),
        ("publish", 4),
        ("publish", 5),
    ]


async def test_so_many_wait_at_once_and_no_more():
    backend = Backend()
    asked = backend.batch(*["publish"] * 100)
    await settled_turns()
    assert len(backend.begun) == 64
    backend.gate.set()
    assert [reply["publish"].number for reply in (await asked).replies] == list(range(1, 101))
