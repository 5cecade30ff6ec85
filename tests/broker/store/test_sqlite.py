"""What is SQLite's own: durability, other processes on the same file, and a restart after a crash."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Connection, text

from broker.errors import BadInput, StoreUnavailable
from broker.ledger import PlanDone
from broker.notification import Lane, State
from broker.store import checkpoints
from broker.store.checkpoints import LONGEST_LOG_PAGES
from broker.store.sqlite import SqliteDatabase
from broker.store.store import Store, open_store
from config.clock import ManualClock, SystemClock

Open = Callable[[], Awaitable[Store]]

# Another process: accepts, claims, says so, and is killed where it stands.
CRASHING = """
import asyncio, sys
from datetime import timedelta
from broker.notification import ROUTES, Content, Draft, Lane
from broker.store.store import open_store
from config.clock import SystemClock

async def main():
    clock = SystemClock()
    store = await open_store(sys.argv[1], clock=clock)
    await store.ledger.accept(Draft(("ann", "bob"), Content("Tide"), Lane.HIGH, ROUTES, 5, 5, 600))
    until = clock.now() + timedelta(hours=1)
    steps = await store.ledger.claim("w1", {Lane.HIGH: 1}, lease_until=until)
    print(steps[0].id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def claim(store: Store, clock: Any, worker: str = "w1", lease_s: float = 30) -> Any:
    until = clock.now() + timedelta(seconds=lease_s)
    return await store.ledger.claim(worker, dict.fromkeys(Lane, 100), lease_until=until)


async def test_a_commit_is_on_the_disk_and_references_are_held(file: Path) -> None:
    database = SqliteDatabase(file)

    def settings(connection: Any) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names]

    assert await database.write(settings) == ["wal", 2, 1]
    assert await database.read(settings) == ["wal", 2, 1]
    await database.close()


async def test_after_a_kill_nothing_waits_for_a_lease(file: Path) -> None:
    url = f"sqlite:///{file}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CRASHING, url, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    claimed = (await process.stdout.readline()).decode().strip()
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    clock = SystemClock()
    store = await open_store(url, clock=clock)
    steps = {step.id: step.attempt for step in await claim(store, clock)}
    assert len(steps) == 2
    assert steps.pop(claimed) == 2  # its attempt counts as begun
    assert set(steps.values()) == {1}
    await store.close()


async def test_leases_of_a_living_process_are_left_alone(
    open_file: Open, make_draft: Callable[..., Any], clock: ManualClock
) -> None:
    first = await open_file()
    (one,) = await first.ledger.accept(make_draft())
    (plan,) = await claim(first, clock)
    second = await open_file()
    assert await claim(second, clock, "w2") == ()
    await first.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
    assert (await second.ledger.status(one.id)).notification.state is State.FAILED


async def test_leases_given_back_are_stale_for_whoever_held_them(
    open_file: Open, make_draft: Callable[..., Any], clock: ManualClock
) -> None:
    first = await open_file()
    (one,) = await first.ledger.accept(make_draft())
    (plan,) = await claim(first, clock)
    await first.close()
    second = await open_file()
    await second.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
    assert (await second.ledger.status(one.id)).notification.state is State.PENDING
    (again,) = await claim(second, clock)
    assert (again.id, again.attempt) == (plan.id, 2)


async def test_two_stores_work_on_one_file_side_by_side(
    open_file: Open, make_draft: Callable[..., Any], clock: ManualClock
) -> None:
    stores = [await open_file(), await open_file()]
    await asyncio.gather(*(stores[number % 2].ledger.accept(make_draft("a", "b")) for number in range(40)))
    claims = await asyncio.gather(*(claim(store, clock, f"w{number}") for number, store in enumerate(stores)))
    ids = [step.id for steps in claims for step in steps]
    assert len(ids) == len(set(ids)) == 80


async def test_a_file_that_another_process_holds_is_unavailable(file: Path) -> None:
    database = SqliteDatabase(file, busy_timeout_s=0.01)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x)")))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process"):
        await database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (1)")))
    assert await database.read(lambda connection: connection.execute(text("SELECT count(*) FROM t")).scalar_one()) == 0
    other.execute("ROLLBACK")
    await database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (1)")))
    other.close()
    await database.close()


async def test_the_first_transaction_waits_longer_for_others(file: Path) -> None:
    database = SqliteDatabase(file, busy_timeout_s=0.01, opening_timeout_s=20)

    def waits_ms(connection: Connection) -> int:
        return int(connection.execute(text("PRAGMA busy_timeout")).scalar_one())

    assert [await database.prepare(waits_ms), await database.write(waits_ms)] == [20_000, 10]
    await database.close()


async def test_a_closed_database_lets_go_of_its_file(file: Path) -> None:
    database = SqliteDatabase(file)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x)")))
    await database.read(lambda connection: connection.execute(text("SELECT * FROM t")).all())
    await database.close()
    await database.close()
    assert str(file) not in {held.path for held in psutil.Process().open_files()}
    with pytest.raises(StoreUnavailable):
        await database.read(lambda connection: None)


async def test_the_folder_is_made(tmp_path: Path, clock: ManualClock) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/new/folder/heliograph.db", clock=clock)
    await store.close()
    assert (tmp_path / "new" / "folder" / "heliograph.db").is_file()


async def test_only_its_owner_may_read_it(open_file: Open, file: Path) -> None:
    await open_file()
    beside = [place for place in file.parent.iterdir() if place.name.startswith(file.name)]
    assert {place.name: place.stat().st_mode & 0o077 for place in beside} == {
        f"{file.name}{suffix}": 0 for suffix in ("", "-wal", "-shm", ".lock")
    }


def no_database(place: Path) -> None:
    place.write_bytes(b"this is no database, however long it may be" * 100)


@pytest.mark.parametrize("spoil", [no_database, Path.mkdir], ids=["other content", "a folder"])
async def test_a_place_that_holds_something_else_is_refused(
    file: Path, clock: ManualClock, spoil: Callable[[Path], object]
) -> None:
    spoil(file)
    with pytest.raises(BadInput) as refused:
        await open_store(f"sqlite:///{file}", clock=clock)
    assert refused.value.field == "store.url"


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInput, match="cannot be used") as refused:
        await open_store(f"sqlite:///{tmp_path}/taken/heliograph.db", clock=clock)
    assert refused.value.field == "store.url"


async def test_what_is_committed_reaches_the_file_while_the_writer_goes_on(file: Path) -> None:
    """And not within a commit: the log stays far from the length at which the writer would see to it."""
    database = SqliteDatabase(file)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x BLOB)")))

    def fill(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (zeroblob(100000))"))

    def stored_pages() -> int:
        return int.from_bytes(file.read_bytes()[28:32])  # https://www.sqlite.org/fileformat2.html#in_header_database_size

    async with asyncio.timeout(60):
        while await asyncio.to_thread(stored_pages) < 100:
            await database.write(fill)
            await asyncio.sleep(0.05)
    assert file.with_name(file.name + "-wal").stat().st_size < LONGEST_LOG_PAGES * 4096
    await database.close()


async def test_the_log_does_not_grow_without_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_PAUSE_S", 3600)
    database = SqliteDatabase(file)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x BLOB)")))
    for _ in range(12):
        await database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (zeroblob(10000000))")))
    assert file.with_name(file.name + "-wal").stat().st_size < (LONGEST_LOG_PAGES + 3000) * 4200
    await database.close()
