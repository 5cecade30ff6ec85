"""The engine's subscriptions follow the rooms, whatever the order of comings, goings, delays and failures."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.errors import EngineUnavailable
from gateway.fanout import Turn
from gateway.hub import Hub
from gateway.tasks import Tasks
from gateway.upstream import Upstream


class SlowPubSub:
    """Plays the two calls of the port `PubSub`; each waits until the test lets it go, or has it fail."""

    def __init__(self):
        self.subscribed, self.busy, self.calls, self.asked = set(), set(), [], []

    async def subscribe(self, channel):
        await self._answer(channel, self.subscribed.add, self.asked)

    async def unsubscribe(self, channel):
        await self._answer(channel, self.subscribed.discard, [])

    async def _answer(self, channel, change, asked):
        assert channel not in self.busy, "two changes of one channel at once"
        self.busy.add(channel)
        answered = asyncio.get_running_loop().create_future()
        self.calls.append(answered)
        asked.append(answered)
        try:
            await answered
            change(channel)
        finally:
            self.busy.discard(channel)


class Scene:
    """Visitors of channels, as the way into a channel treats them."""

    def __init__(self):
        self.pubsub, self.tasks = SlowPubSub(), Tasks()
        self.hub = Hub(Turn(lambda _flush: None))
        self.upstream = Upstream(self.pubsub, self.hub, self.tasks)
        self.inside = []

    def enter(self, channel):
        room, _ = self.hub.open_room(channel)
        visitor = object()
        room.entering[visitor] = []
        self.tasks.spawn(self._link(channel, room, visitor), "enter")

    async def _link(self, channel, room, visitor):
        try:
            await self.upstream.link(channel)
        except EngineUnavailable:
            self._go(room, visitor)
            return
        assert channel in self.pubsub.subscribed, "told to be linked, and is not"
        self.inside.append((room, visitor))

    def leave(self, number):
        if self.inside:
            self._go(*self.inside.pop(number % len(self.inside)))

    def _go(self, room, visitor):
        del room.entering[visitor]
        self.upstream.release(room)

    def answer(self, number, failure=None):
        # Only a subscribe fails here: a lost unsubscribe costs a little traffic, and nobody waits for it.
        waiting = [call for call in (self.pubsub.asked if failure else self.pubsub.calls) if not call.done()]
        if not waiting:
            return False
        call = waiting[number % len(waiting)]
        if failure is None:
            call.set_result(None)
        else:
            call.set_exception(failure)
        return True


async def turns(count=6):
    for _ in range(count):
        await asyncio.sleep(0)


moves = st.tuples(st.sampled_from(["enter", "enter", "leave", "answer", "fail", "turn"]), st.integers(0, 3))


@given(st.lists(moves, max_size=40))
@example([("enter", 0), ("turn", 0), ("answer", 0), ("turn", 0), ("leave", 0), ("enter", 0), ("turn", 0)])
@settings(deadline=None)
def test_in_the_end_what_has_a_room_is_subscribed_and_nothing_else(steps):
    async def main():
        scene = Scene()
        for move, number in steps:
            match move:
                case "enter":
                    scene.enter("ab"[number % 2])
                case "leave":
                    scene.leave(number)
                case "answer":
                    scene.answer(number)
                case "fail":
                    scene.answer(number, EngineUnavailable("away"))
                case "turn":
                    await turns()
        await turns()
        while scene.answer(0):
            await turns()
        rooms = {room.channel for room, _ in scene.inside}
        assert {channel for channel in "ab" if scene.hub.room(channel) is not None} == rooms
        assert scene.pubsub.subscribed == rooms
        await scene.tasks.drain(0)

    asyncio.run(main())


async def test_a_failed_subscribe_is_tried_again_by_the_next_who_comes():
    scene = Scene()
    scene.enter("a")
    await turns()
    scene.answer(0, EngineUnavailable("away"))
    await turns()
    assert scene.inside == []
    assert scene.hub.room("a") is None
    scene.enter("a")
    await turns()
    scene.answer(0)
    await turns()
    assert len(scene.inside) == 1
    assert scene.pubsub.subscribed == {"a"}


async def test_of_two_who_wait_one_failure_is_only_the_firsts():
    scene = Scene()
    scene.enter("a")
    scene.enter("a")
    await turns()
    scene.answer(0, EngineUnavailable("away"))
    await turns()
    assert scene.inside == []
    scene.answer(0)  # the second one asks for itself
    await turns()
    assert len(scene.inside) == 1
    assert scene.pubsub.subscribed == {"a"}


async def test_whoever_comes_back_before_the_unsubscribe_needs_no_call():
    scene = Scene()
    scene.enter("a")
    await turns()
    scene.answer(0)
    await turns()
    calls = len(scene.pubsub.calls)
    scene.enter("a")
    await turns()
    assert len(scene.inside) == 2
    assert len(scene.pubsub.calls) == calls


async def test_a_cancelled_wait_leaves_the_others_theirs():
    scene = Scene()
    room, _ = scene.hub.open_room("a")
    room.entering[scene] = []
    first = asyncio.create_task(scene.upstream.link("a"))
    second = asyncio.create_task(scene.upstream.link("a"))
    await turns()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await turns()
    scene.answer(0)
    await second
    assert scene.pubsub.subscribed == {"a"}
