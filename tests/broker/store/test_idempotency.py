"""Dead idempotency keys are removed now and then, a bounded number at a time."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from broker.store import idempotency
from broker.store.store import Store
from config.clock import ManualClock


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM idempotency_keys").fetchone()
        return int(found)


def insert(file: Path, keys: int, created_at: int) -> None:
    with closing(sqlite3.connect(file)) as connection:
        rows = [(f"old-{number}", created_at, b"", b"[]") for number in range(keys)]
        connection.executemany("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)", rows)
        connection.commit()


async def test_dead_keys_are_removed_with_a_later_request(
    open_file: Callable[[], Awaitable[Store]], file: Path, make_draft: Callable[..., Any], clock: ManualClock
) -> None:
    store = await open_file()
    await store.ledger.accept(make_draft(), idempotency_key="first")
    clock.move(1800)
    await store.ledger.accept(make_draft(), idempotency_key="second")
    clock.move(1800)
    await store.ledger.accept(make_draft())
    assert count(file) == 2
    await store.ledger.accept(make_draft(), idempotency_key="third")
    assert count(file) == 2


async def test_many_are_removed_by_and_by(
    open_file: Callable[[], Awaitable[Store]], file: Path, make_draft: Callable[..., Any]
) -> None:
    store = await open_file()
    insert(file, 2 * idempotency.PURGE_SIZE + 1, created_at=0)
    left = []
    for number in range(4):
        await store.ledger.accept(make_draft(), idempotency_key=f"new-{number}")
        left.append(count(file) - number - 1)
    assert left == [idempotency.PURGE_SIZE + 1, 1, 0, 0]
