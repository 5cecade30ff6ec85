"""The place of one worker: what becomes of it when workers hang, and when the end comes in the middle of a replacement."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.clock import SystemClock
from heliograph.ending import Ending
from heliograph.listening import bind_shared
from heliograph.orders import Assignment
from heliograph.slot import Slot
from heliograph.worker_process import WorkerFailed

GUARD_S = 60  # only ends a hang

SETTINGS = """
[client.token]
hmac_secret_key = "a secret that is longer than thirty-two bytes"
[http_api]
keys = ["k"]
[store]
url = "sqlite:///{directory}/store.db"
"""


@pytest.fixture
def ending() -> Ending:
    return Ending()


@contextlib.asynccontextmanager
async def slot_of(file: Path, ending: Ending, **options: float) -> AsyncIterator[Slot]:
    [listener] = bind_shared("http.port", "127.0.0.1", 0, 1)
    slot = Slot(Assignment("gateway", 1, file=str(file)), listener, None, ending, SystemClock(), **options)
    try:
        yield slot
    finally:
        await slot.stop(0.1)
        slot.close()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "h.toml"
    file.write_text(SETTINGS.format(directory=tmp_path))
    return file


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.closing(socket.socket()) as newest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest.fileno(), granted[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, granted)


async def test_a_worker_that_hangs_at_its_start_is_ended(tmp_path, ending):
    os.mkfifo(tmp_path / "h.toml")  # nobody ever writes into it
    async with slot_of(tmp_path / "h.toml", ending, start_limit_s=0.1) as slot, asyncio.timeout(GUARD_S):
        with pytest.raises(WorkerFailed, match=str(128 + signal.SIGKILL)) as failed:
            await slot.start()
        assert failed.value.problems == ["a worker was not ready within 0.1 s"]


async def test_a_system_that_grants_no_process_is_no_reason_to_give_up(settings, ending):
    async with slot_of(settings, ending) as slot, asyncio.timeout(GUARD_S):
        with no_more_files(), pytest.raises(WorkerFailed) as failed:
            await slot.start()
        assert failed.value.problems == ["a worker could not be started: Too many open files"]
        await slot.start()
        assert await slot.stop(GUARD_S) == 0


def freeze(pid: int, store: Path) -> None:
    """Have a process stand still where it writes nothing, so that others can."""
    with contextlib.closing(sqlite3.connect(store, timeout=GUARD_S)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        os.kill(pid, signal.SIGSTOP)
        threads = tuple(Path(f"/proc/{pid}/task").glob("*/stat"))
        while not all(thread.read_text().rpartition(") ")[2].startswith("T") for thread in threads):
            pass


async def test_the_end_waits_for_a_predecessor_that_still_drains(settings, ending):
    async with slot_of(settings, ending) as slot, asyncio.timeout(GUARD_S):
        await slot.start()
        frozen = slot.worker_pid
        freeze(frozen, settings.with_name("store.db"))  # as if its drain took long
        keeping = asyncio.create_task(slot.keep())
        rolling = asyncio.create_task(slot.replace())
        while slot.worker_pid == frozen:  # noqa: ASYNC110 (a process has no event for us)
            await asyncio.sleep(0.01)
        ending.begin()
        await keeping
        rolling.cancel()
        await asyncio.wait([rolling])
        ended = asyncio.create_task(slot.stop(GUARD_S))
        os.kill(frozen, signal.SIGCONT)
        assert await ended == 0


async def test_a_place_whose_worker_has_just_died_can_be_replaced(settings, ending):
    async with slot_of(settings, ending) as slot, asyncio.timeout(GUARD_S):
        rolling = asyncio.create_task(slot.replace())
        keeping = asyncio.create_task(slot.keep())
        assert await rolling
        ending.begin()
        await keeping
        assert await slot.stop(GUARD_S) == 0
