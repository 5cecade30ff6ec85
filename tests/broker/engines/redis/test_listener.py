"""Listening: confirmed, once, in batches, and taken up again after losses, which are told."""

import asyncio

import pytest

from broker.engines.redis.address import parse_address
from broker.engines.redis.dialer import Dialer
from broker.engines.redis.link import Link
from broker.engines.redis.listener import Listener
from broker.engines.redis.packing import pack
from broker.engines.redis.server import Server
from broker.errors import EngineUnavailable
from config.clock import SystemClock

pytestmark = pytest.mark.redis


class Heard:
    """Payloads as they came, and a wait for their number."""

    def __init__(self):
        self.payloads = []
        self._came = asyncio.Event()

    def __call__(self, payload):
        self.payloads.append(payload)
        self._came.set()

    async def wait(self, count):
        async with asyncio.timeout(30):
            while len(self.payloads) < count:
                self._came.clear()
                await self._came.wait()
        return self.payloads


class OneServer:
    """Says that every topic belongs to one server; plays `servers.Servers`."""

    def __init__(self, server):
        self._server = server

    def of(self, key):
        return self._server

    def all(self):
        return (self._server,)


@pytest.fixture
async def link(open_link):
    return await open_link()


@pytest.fixture
def resumed():
    """Note resumptions of a link, and wait for the next one."""

    def watch(link):
        event = asyncio.Event()
        link.on_resume(event.set)
        return event

    return watch


async def wait(event):
    async with asyncio.timeout(30):
        await event.wait()


async def subscribers(raw, *topics):
    return [count for _, count in await raw.pubsub_numsub(*topics)]


async def test_what_is_published_is_heard_in_order(link):
    heard = Heard()
    await link.listen("t", heard)
    for number in range(100):
        await link.publish("t", b"%d" % number)
    assert await heard.wait(100) == [b"%d" % number for number in range(100)]


async def test_many_topics_are_listened_to_at_once(link, raw):
    topics = [link.keys.plain("many", str(number)) for number in range(3000)]
    await asyncio.gather(*(link.listen(topic, print) for topic in topics))
    assert await subscribers(raw, topics[0], topics[1500], topics[-1]) == [1, 1, 1]
    await asyncio.gather(*(link.unlisten(topic) for topic in topics))
    last = link.keys.plain("last", "")
    await link.listen(last, print)  # confirmed after all that was asked for before
    assert await subscribers(raw, topics[0], topics[1500], topics[-1]) == [0, 0, 0]


async def test_left_and_listened_to_in_one_turn_is_listened_to(link, raw):
    heard, late = Heard(), Heard()
    topic = link.keys.plain("t", "")
    await link.listen(topic, heard)
    await asyncio.gather(link.unlisten(topic), link.listen(topic, late))
    await link.publish(topic, b"1")
    assert await late.wait(1) == [b"1"]
    assert heard.payloads == []
    assert await subscribers(raw, topic) == [1]


async def test_listened_to_and_left_in_one_turn_is_left(link, raw):
    topic = link.keys.plain("t", "")
    listening = asyncio.ensure_future(link.listen(topic, print))
    await asyncio.sleep(0)
    await link.unlisten(topic)
    with pytest.raises(EngineUnavailable):
        await listening
    await link.listen(link.keys.plain("fence", ""), print)
    assert await subscribers(raw, topic) == [0]


async def test_a_caller_that_goes_away_leaves_no_subscription(link, raw):
    topic, other = link.keys.plain("t", ""), link.keys.plain("other", "")
    calls = [asyncio.ensure_future(link.listen(topic, print)), asyncio.ensure_future(link.listen(other, print))]
    await asyncio.sleep(0)
    calls[0].cancel()
    await calls[1]
    await link.listen(link.keys.plain("fence", ""), print)
    assert await subscribers(raw, topic, other) == [0, 1]


async def test_one_of_two_callers_that_goes_away_leaves_it_to_the_other(link, raw):
    topic = link.keys.plain("t", "")
    calls = [asyncio.ensure_future(link.listen(topic, print)) for _ in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await calls[1]
    assert await subscribers(raw, topic) == [1]


async def test_a_receiver_that_fails_does_not_keep_others_from_hearing(link):
    def fail(payload):
        raise ValueError("a bug")

    heard = Heard()
    await link.listen("t", fail)
    await link.listen("u", heard)
    await link.publish("t", b"1")
    await link.publish("u", b"2")
    assert await heard.wait(1) == [b"2"]


async def test_a_lost_connection_is_taken_up_again_and_told(link, raw, resumed):
    heard, event = Heard(), resumed(link)
    topics = [link.keys.plain("t", str(number)) for number in range(2500)]
    await asyncio.gather(*(link.listen(topic, heard) for topic in topics))
    await raw.client_kill_filter(_type="pubsub")
    await wait(event)
    assert await subscribers(raw, topics[0], topics[-1]) == [1, 1]
    for topic in topics[::500]:
        await link.publish(topic, b"1")
    await heard.wait(5)


async def test_what_was_left_during_a_loss_stays_left(link, raw, resumed):
    event = resumed(link)
    kept, left = link.keys.plain("kept", ""), link.keys.plain("left", "")
    await link.listen(kept, print)
    await link.listen(left, print)
    await raw.client_kill_filter(_type="pubsub")
    await link.unlisten(left)
    await wait(event)
    assert await subscribers(raw, kept, left) == [1, 0]


async def test_a_start_that_loses_nothing_is_no_resumption(link, resumed):
    event = resumed(link)
    await link.listen("t", print)
    await link.publish("t", b"1")
    assert not event.is_set()


async def test_listening_fails_in_bounded_time_while_redis_is_away(start_valkey, open_link, reached, resumed):
    server = start_valkey()
    link = await open_link(url=server.connection_url, call_timeout=0.3)
    heard, event = Heard(), resumed(link)
    await link.listen("t", heard)
    server.stop()
    await reached(link, False)
    for _ in range(3):
        with pytest.raises(EngineUnavailable):
            await link.listen("u", print)
    server.start()
    await wait(event)
    await link.publish("t", b"1")
    assert await heard.wait(1) == [b"1"]
    assert link.statistics().topics == 1


async def test_a_silent_connection_is_noticed(start_valkey, open_link, frozen, resumed):
    server = start_valkey()
    link = await open_link(url=server.connection_url, call_timeout=0.2, connect_timeout=0.2)
    event = resumed(link)
    await link.listen("t", print)
    with frozen(server):
        for call in (link.listen("u", print), link.command("PING"), link.command("PING")):
            with pytest.raises(EngineUnavailable):
                await call
    await wait(event)


async def test_listening_to_what_may_not_be_heard_is_refused(start_valkey, open_link):
    server = start_valkey()
    admin = await open_link(url=server.connection_url)
    await admin.command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&allowed*", "+@all")
    link = await open_link(url=server.connection_url.replace("//", "//ann:pw@"))
    await link.listen("allowed", print)
    with pytest.raises(EngineUnavailable, match="NOPERM"):
        await link.listen("other", print)


async def test_closing_fails_those_who_wait(start_valkey, open_link, frozen):
    server = start_valkey()
    link = await open_link(url=server.connection_url)
    await link.listen("t", print)
    with frozen(server):
        waiting = asyncio.ensure_future(link.listen("u", print))
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(EngineUnavailable):
            await waiting


async def test_a_link_that_was_never_opened_does_not_listen(broker_settings, clock):
    settings = broker_settings.model_copy(update={"call_timeout": 0.05})
    link = Link(parse_address(settings), settings, clock)
    with pytest.raises(EngineUnavailable):
        await link.listen("t", print)
    await link.close()


async def test_who_listens_is_never_left_with_whom_the_server_was_before(start_valkey, broker_settings):
    """A failover while the listening connection is being opened: it must not stay with the former master."""
    former, present = (broker_settings.model_copy(update={"url": start_valkey().connection_url}) for _ in range(2))
    places = [former]
    slow, may_go_on, opened = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def dial():
        address = parse_address(places[-1])
        connection = await Dialer(address, broker_settings).open(address.hosts[0])
        if slow.is_set():
            slow.clear()
            opened.set()
            await may_go_on.wait()
        return connection

    changed = asyncio.Event()
    server = Server(
        "moving",
        dial,
        SystemClock(),
        connections=1,
        connect_timeout_s=30,
        call_timeout_s=30,
        prepare=list,
        on_change=changed.set,
    )
    servers = OneServer(server)
    listener = Listener(servers, SystemClock(), is_sharded=False, connect_timeout_s=30, call_timeout_s=30)
    await server.start()
    slow.set()
    listening = asyncio.create_task(listener.listen("t", print))
    await wait(opened)
    places.append(present)
    server.distrust("it has become a replica")
    async with asyncio.timeout(30):
        while server.life < 2:
            changed.clear()
            await changed.wait()
    may_go_on.set()
    await listening
    assert await server.call(0, pack("PUBSUB", "NUMSUB", "t")) == [b"t", 1]
    await listener.close()
    await server.close()
