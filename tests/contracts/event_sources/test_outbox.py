"""What is the outbox's own: order per key over all nodes, rows that belong to the application's transactions, its table."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from broker.errors import BadInput, StoreUnavailable
from broker.event_source import Again, Dead, Done, EventSource
from broker.store.outbox import OutboxTable
from broker.store.outbox_table import outbox_ddl
from config.clock import ManualClock

pytestmark = pytest.mark.postgres

Open = Callable[..., Awaitable[EventSource]]


@pytest.fixture
def case(outbox: Any) -> Any:
    return outbox


async def test_a_retry_holds_its_key_back_on_every_node_and_no_other(case: Any, open_source: Open) -> None:
    here, there = await open_source(), await open_source()
    ids = {key: [await case.add("publish", {}, key) for _ in range(3)] for key in ("a", "b")}
    items = await here.fetch(10)
    first = next(item for item in items if item.key == "a")
    await here.settle([(first, Again(5.0)), *((item, Done()) for item in items if item.key == "b")])
    late = await case.add("publish", {}, "a")
    assert await there.fetch(10) == []
    await case.pass_time(5.5)
    assert [item.id for item in await there.fetch(10)] == [*ids["a"], late]


async def test_no_key_is_with_two_at_once(case: Any, open_source: Open) -> None:
    here, there = await open_source(), await open_source()
    await case.add("publish", {}, "a")
    assert len(await here.fetch(1)) == 1
    await case.add("publish", {}, "a")
    assert await there.fetch(10) == []


async def test_three_nodes_keep_the_order_of_every_key_whatever_fails(case: Any, open_source: Open, clock: ManualClock) -> None:
    chance = random.Random(7)
    ids = [await case.add("publish", {}, f"k{number % 11}") for number in range(220)]
    keys = {id_: f"k{number % 11}" for number, id_ in enumerate(ids)}
    carried: list[str] = []

    async def work(source: EventSource) -> None:
        while True:
            items = await source.fetch(16)
            settled: list[Any] = []
            failed: set[str] = set()
            for item in items:
                if item.key in failed or chance.random() < 0.1:
                    failed.add(item.key)
                    settled.append((item, Again(1.0)))
                else:
                    carried.append(item.id)
                    settled.append((item, Done()))
            if items:
                await source.settle(settled)
            elif len(carried) == len(ids):
                return
            else:
                clock.move(0.3)
                await asyncio.sleep(0)

    sources = [await open_source() for _ in range(3)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(work(source) for source in sources))
    assert len(carried) == len(ids)
    for key in set(keys.values()):
        assert [id_ for id_ in carried if keys[id_] == key] == [id_ for id_ in ids if keys[id_] == key]


async def test_a_row_comes_when_its_transaction_has_committed_and_only_then(case: Any, source: EventSource) -> None:
    insert = "INSERT INTO app.outbox (method, payload) VALUES ('publish', '{}')"
    writer = await asyncpg.connect(case.url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute(insert)
    assert await source.fetch(10) == []
    await transaction.rollback()
    assert await source.fetch(10) == []
    async with writer.transaction():
        await writer.execute(insert)
    assert len(await source.fetch(10)) == 1
    await writer.close()


async def test_what_becomes_of_a_batch_is_one_commit(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {}, "k") for _ in range(3)]
    items = await source.fetch(10)
    await case.lose(source)
    with pytest.raises(StoreUnavailable):
        await source.settle([(items[0], Done()), (items[1], Dead("never")), (items[2], Again(1.0))])
    assert await case.rest() == ids
    assert await case.dead() == []


async def test_a_key_behind_many_held_rows_of_another_is_found_where_it_can_be(case: Any, source: EventSource) -> None:
    """All keys that wait lie in front; the rows of others behind them are taken as far as one looks."""
    ids = [await case.add("publish", {}, "held") for _ in range(150)]
    items = await source.fetch(1)
    await source.settle([(items[0], Again(5.0))])
    free = [await case.add("publish", {}, f"k{number}") for number in range(64)]
    found: list[str] = []
    while items := await source.fetch(100):
        found += [item.id for item in items]
        await source.settle([(item, Done()) for item in items])
    assert sorted(found, key=int) == free
    assert await case.rest() == ids


async def test_it_goes_by_the_indexes_whatever_is_known_of_the_table(case: Any, source: EventSource) -> None:
    await case.connection.execute(
        "INSERT INTO app.outbox (method, payload, key) SELECT 'publish', '{}', 'k' || n FROM generate_series(1, 5000) AS n"
    )
    await source.settle([(item, Done()) for item in await source.fetch(100)])
    await source.close()  # a session counts what it read when it ends
    read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbox'"
    assert await case.connection.fetchval(read) == 0


# Its table


async def open_at(url: str, table: str, clock: ManualClock) -> None:
    source = OutboxTable(url, table, clock)
    try:
        await source.open()
    finally:
        await source.close()


@pytest.mark.parametrize("table", ["nothing_here", "nowhere.outbox", "app.half"])
async def test_a_table_that_is_not_there_or_of_another_form_is_told(case: Any, clock: ManualClock, table: str) -> None:
    await case.connection.execute("CREATE TABLE app.half (id bigint, method text, payload json)")
    with pytest.raises(BadInput, match="`heliograph db outbox` prints how to make it") as refused:
        await open_at(case.url, table, clock)
    assert refused.value.field == "outbox_table_name"


@pytest.mark.parametrize("table", ["", "Outbox", "a;drop table x", "a.b.c", "x" * 41, 'a"b', "1a"])
def test_a_name_that_could_not_stand_in_a_statement_is_refused(clock: ManualClock, table: str) -> None:
    with pytest.raises(BadInput) as refused:
        OutboxTable("postgresql://u@h/d", table, clock)
    assert refused.value.field == "outbox_table_name"
    with pytest.raises(BadInput):
        outbox_ddl(table)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://h/d", "postgresql://u:s3cret@h", ""])
def test_an_address_of_something_else_is_refused_without_it(clock: ManualClock, url: str) -> None:
    with pytest.raises(BadInput) as refused:
        OutboxTable(url, "outbox", clock)
    assert refused.value.field == "dsn"
    assert "s3cret" not in str(refused.value)


async def test_a_database_that_cannot_be_used_is_told(case: Any, clock: ManualClock) -> None:
    with pytest.raises(BadInput, match="does not exist") as refused:
        await open_at(case.url.replace("/outbox_", "/nothing_"), "app.outbox", clock)
    assert refused.value.field == "dsn"
    with pytest.raises(StoreUnavailable, match=r"no PostgreSQL server answers at 127\.0\.0\.1:1"):
        await open_at("postgresql://u:s3cret@127.0.0.1:1/d", "app.outbox", clock)


async def test_two_outboxes_in_one_database_keep_apart(case: Any, clock: ManualClock) -> None:
    await case.connection.execute(outbox_ddl("other"))
    await case.connection.execute("INSERT INTO other (method, payload) VALUES ('notify', '{}')")
    await case.add("publish", {})
    here, there = OutboxTable(case.url, "app.outbox", clock), OutboxTable(case.url, "other", clock)
    assert [item.method for item in await here.fetch(10)] == ["publish"]
    assert [item.method for item in await there.fetch(10)] == ["notify"]
    await here.close()
    await there.close()
