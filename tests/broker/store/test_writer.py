"""Group commit: who waits together commits together, and nobody pays for another's mistake."""

import asyncio
from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, text
from sqlalchemy.exc import OperationalError

from broker.errors import BadInput, StoreUnavailable
from broker.store.writer import GroupWriter


class Bench:
    """A writer on a database in memory, with a gate that holds its transactions back."""

    def __init__(self) -> None:
        options = {"isolation_level": None, "check_same_thread": False}  # one connection, used by turns
        self.engine: Engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=options)
        event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE names (name TEXT)"))
        self.gate = Event()
        self.gate.set()
        self.entered = Event()
        self.transactions = 0
        self.failure: Exception | None = None
        self.writer = GroupWriter(self._commit)

    def _commit(self, work: Callable[[Connection], Any]) -> Any:
        self.entered.set()
        assert self.gate.wait(60)
        self.transactions += 1
        with self.engine.begin() as connection:
            answer = work(connection)
            if self.failure is not None:
                raise self.failure
        return answer

    def names(self) -> list[str]:
        """What is committed."""
        with self.engine.begin() as connection:
            return list(connection.execute(text("SELECT name FROM names ORDER BY name")).scalars())

    async def hold(self) -> "asyncio.Task[str]":
        """Begin a write and stop in its transaction, so that later ones wait together."""
        self.gate.clear()
        self.entered.clear()
        first = asyncio.ensure_future(self.writer.write(add("first")))
        await asyncio.to_thread(self.entered.wait)
        return first


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.gate.set()
    await bench.writer.close()
    bench.engine.dispose()


def add(name: str, error: Exception | None = None) -> Callable[[Connection], str]:
    """Write a name, then fail with `error`."""

    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO names VALUES (:name)"), {"name": name})
        if error is not None:
            raise error
        return name.upper()

    return work


async def write_together(bench: Bench, *works: Callable[[Connection], str]) -> list[Any]:
    """Write so that all share a transaction."""
    first = await bench.hold()
    rest = asyncio.gather(*(bench.writer.write(work) for work in works), return_exceptions=True)
    await asyncio.sleep(0)
    bench.gate.set()
    await first
    return await rest


async def test_a_write_is_answered_after_its_commit(bench: Bench) -> None:
    first = await bench.hold()
    assert not first.done()
    assert bench.names() == []
    bench.gate.set()
    assert await first == "FIRST"
    assert bench.names() == ["first"]


async def test_who_waits_together_shares_a_transaction(bench: Bench) -> None:
    assert await write_together(bench, add("a"), add("b"), add("c")) == ["A", "B", "C"]
    assert bench.transactions == 2
    assert bench.names() == ["a", "b", "c", "first"]


async def test_a_refusal_undoes_its_own_write_only(bench: Bench) -> None:
    answers = await write_together(bench, add("a"), add("b", BadInput("field", "rule")), add("c"))
    assert (answers[0], type(answers[1]), answers[2]) == ("A", BadInput, "C")
    assert bench.transactions == 2
    assert bench.names() == ["a", "c", "first"]


async def test_a_refusal_alone_is_undone_too(bench: Bench) -> None:
    with pytest.raises(BadInput):
        await bench.writer.write(add("a", BadInput("field", "rule")))
    assert bench.names() == []


async def test_a_bug_in_one_write_does_not_take_the_others_along(bench: Bench) -> None:
    works = (add("a"), add("b", BadInput("field", "rule")), add("c", ZeroDivisionError()), add("d"))
    answers = await write_together(bench, *works)
    assert (answers[0], type(answers[1]), type(answers[2]), answers[3]) == ("A", BadInput, ZeroDivisionError, "D")
    assert bench.names() == ["a", "d", "first"]


async def test_a_refusal_of_an_undone_transaction_is_forgotten(bench: Bench) -> None:
    refusals = [BadInput("field", "rule")]

    def refuse_once(connection: Connection) -> str:
        return add("a", refusals.pop() if refusals else None)(connection)

    answers = await write_together(bench, refuse_once, add("b", ZeroDivisionError()))
    assert (answers[0], type(answers[1])) == ("A", ZeroDivisionError)
    assert bench.names() == ["a", "first"]


async def test_a_database_that_cannot_fails_all_and_the_next_goes_on(bench: Bench) -> None:
    class Full(Exception):
        sqlite_errorcode = 13  # SQLITE_FULL

    first = await bench.hold()
    rest = asyncio.gather(*(bench.writer.write(add(name)) for name in "ab"), return_exceptions=True)
    await asyncio.sleep(0)
    bench.failure = OperationalError("INSERT", {}, Full())
    bench.gate.set()
    answers = [*await asyncio.gather(first, return_exceptions=True), *await rest]
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert bench.names() == []
    bench.failure = None
    assert await bench.writer.write(add("later")) == "LATER"


async def test_a_cancelled_caller_does_not_stop_its_write(bench: Bench) -> None:
    seen: list[str] = []
    await bench.hold()
    caller = asyncio.ensure_future(bench.writer.write(add("a"), seen.append))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    bench.gate.set()
    await bench.writer.write(add("b"))
    assert bench.names() == ["a", "b", "first"]
    assert seen == ["A"]


async def test_what_follows_a_commit_runs_before_the_answer_and_only_then(bench: Bench) -> None:
    seen: list[str] = []
    with pytest.raises(BadInput):
        await bench.writer.write(add("a", BadInput("field", "rule")), seen.append)
    assert seen == []
    await bench.writer.write(add("b"), seen.append)
    assert seen == ["B"]


async def test_a_bug_in_what_follows_is_told_to_its_caller(bench: Bench) -> None:
    def broken(answer: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.writer.write(add("a"), broken)
    assert bench.names() == ["a"]
    assert await bench.writer.write(add("b")) == "B"


async def test_closing_does_what_is_waiting_and_refuses_what_comes(bench: Bench) -> None:
    first = await bench.hold()
    rest = asyncio.gather(*(bench.writer.write(add(f"n{number:03}")) for number in range(300)))
    await asyncio.sleep(0)
    closing = asyncio.gather(bench.writer.close(), bench.writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await bench.writer.write(add("late"))
    bench.gate.set()
    await closing
    assert await first == "FIRST"
    assert len(await rest) == 300
    assert len(bench.names()) == 301
    assert bench.transactions == 1 + 3


async def test_a_full_queue_refuses(bench: Bench) -> None:
    first = await bench.hold()
    rest = asyncio.gather(*(bench.writer.write(add("x")) for _ in range(4095)))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="keep up"):
        await bench.writer.write(add("late"))
    bench.gate.set()
    await first
    await rest
    assert await bench.writer.write(add("later")) == "LATER"


async def test_what_is_urgent_goes_first_and_by_itself(bench: Bench) -> None:
    order: list[tuple[int, str]] = []

    def note(name: str) -> Callable[[Connection], None]:
        return lambda _: order.append((bench.transactions, name))

    first = await bench.hold()
    rest = asyncio.gather(
        bench.writer.write(note("a")),
        bench.writer.write(note("urgent"), urgent=True),
        bench.writer.write(note("b")),
        bench.writer.write(note("urgent too"), urgent=True),
    )
    await asyncio.sleep(0)
    bench.gate.set()
    await first
    await rest
    assert order == [(2, "urgent"), (2, "urgent too"), (3, "a"), (3, "b")]


async def test_what_is_urgent_does_not_keep_the_others_from_their_turn_for_ever(bench: Bench) -> None:
    order: list[str] = []
    first = await bench.hold()
    rest = asyncio.gather(
        bench.writer.write(lambda _: order.append("other")),
        *(bench.writer.write(lambda _: order.append("urgent"), urgent=True, rows=500) for _ in range(12)),
    )
    await asyncio.sleep(0)
    bench.gate.set()
    await first
    await rest
    assert order.index("other") == 8
    assert len(order) == 13


async def test_a_transaction_holds_so_much_only(bench: Bench) -> None:
    sizes: list[tuple[int, int]] = []

    def note(rows: int) -> Callable[[Connection], None]:
        return lambda _: sizes.append((bench.transactions, rows))

    first = await bench.hold()
    rest = asyncio.gather(*(bench.writer.write(note(rows), rows=rows) for rows in (300, 200, 1, 2000, 1)))
    await asyncio.sleep(0)
    bench.gate.set()
    await first
    await rest
    assert sizes == [(2, 300), (2, 200), (3, 1), (4, 2000), (5, 1)]


def test_a_loop_that_ends_first_does_not_keep_the_writer() -> None:
    async def main() -> GroupWriter:
        writer = GroupWriter(lambda work: gate.wait(60))
        waiting.append(asyncio.ensure_future(writer.write(add("a"))))
        await asyncio.sleep(0)
        return writer

    gate, waiting = Event(), []
    writer = asyncio.run(main())
    gate.set()
    writer._thread.join(60)
    assert not writer._thread.is_alive()
