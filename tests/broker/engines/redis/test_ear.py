"""One listening connection: what it tells its owner, in which order."""

import asyncio

import pytest

from broker.engines.redis.address import Host, parse_address
from broker.engines.redis.dialer import Dialer
from broker.engines.redis.ear import Ear

pytestmark = pytest.mark.redis


class Owner:
    """Notes what it is told."""

    def __init__(self):
        self.told = []
        self._came = asyncio.Event()

    def note(self, *told):
        self.told.append(told)
        self._came.set()

    async def wait(self, *told):
        async with asyncio.timeout(30):
            while told not in self.told:
                self._came.clear()
                await self._came.wait()

    def hear(self, topic, payload):
        self.note("hear", topic, payload)

    def confirm(self, ear, topic):
        self.note("confirm", topic)

    def refuse(self, ear, topics, exc):
        self.note("refuse", *topics)

    def shut_out(self, ear, topic):
        self.note("shut_out", topic)

    def lose(self, ear, exc):
        self.note("lose", type(exc))


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
async def ear(valkey, broker_settings, owner):
    dialer = Dialer(parse_address(broker_settings), broker_settings)
    connection = await dialer.open(Host("127.0.0.1", valkey.port))
    ear = Ear(connection, owner, is_sharded=False, timeout_s=5)
    yield ear
    await ear.close()


async def test_topics_are_confirmed_and_heard(ear, owner, raw):
    ear.subscribe([b"ear-a", b"ear-b"])
    await owner.wait("confirm", b"ear-b")
    await raw.publish("ear-a", b"1")
    await owner.wait("hear", b"ear-a", b"1")
    assert owner.told == [("confirm", b"ear-a"), ("confirm", b"ear-b"), ("hear", b"ear-a", b"1")]


async def test_a_topic_that_is_left_and_taken_up_again_is_confirmed_when_the_last_word_counts(ear, owner):
    ear.subscribe([b"ear-a"])
    ear.unsubscribe([b"ear-a"])
    ear.subscribe([b"ear-a", b"ear-b"])
    await owner.wait("confirm", b"ear-b")
    assert owner.told == [("confirm", b"ear-a"), ("confirm", b"ear-b")]
    assert ear.topics == {b"ear-a", b"ear-b"}


async def test_what_is_subscribed_to_is_not_asked_for_twice(ear, owner, raw):
    ear.subscribe([b"ear-a"])
    ear.subscribe([b"ear-a"])
    ear.unsubscribe([b"ear-none"])
    ear.subscribe([b"ear-b"])
    await owner.wait("confirm", b"ear-b")
    assert owner.told == [("confirm", b"ear-a"), ("confirm", b"ear-b")]


async def test_the_end_of_the_connection_is_told_once(ear, owner, raw):
    ear.subscribe([b"ear-a"])
    await owner.wait("confirm", b"ear-a")
    for client in await raw.client_list(_type="pubsub"):
        await raw.client_kill(client["addr"])
    async with asyncio.timeout(30):
        while not any(told[0] == "lose" for told in owner.told):
            await raw.ping()
    await raw.ping()
    assert [told[0] for told in owner.told] == ["confirm", "lose"]


async def test_a_closed_ear_tells_nothing(ear, owner):
    ear.subscribe([b"ear-a"])
    await ear.close()
    assert owner.told == []
