"""No room on the disk, no descriptors left: clear refusals, no crash, no corruption, and on it goes when there is room (R16).

The limits of a running process are lowered from outside and raised again, so that nothing has to be filled for it.
"""

import asyncio
import contextlib
import resource
import sqlite3
from pathlib import Path

import httpx
import pytest

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of other processes are Linux's"),
]


@pytest.fixture
def bounded():
    """Lower a soft limit of a process for a while."""

    @contextlib.contextmanager
    def bound(part, limit, most):
        before = resource.prlimit(part.process.pid, limit)
        resource.prlimit(part.process.pid, limit, (most, before[1]))
        try:
            yield
        finally:
            resource.prlimit(part.process.pid, limit, before)

    return bound


async def test_a_full_disk_refuses_what_must_be_stored_and_nothing_else(fleet, bounded, tmp_path):  # L-13
    file = tmp_path / "store.db"
    node = await fleet.node("node", HELIOGRAPH_STORE__URL=f"sqlite:///{file}", HELIOGRAPH_HEALTH__ENABLED="true")
    api = fleet.api(node)
    stored = [await notify(api, number) for number in range(20)]
    assert None not in stored

    # What lies in the files may be written over, and no byte more: as on a disk that has none left.
    largest = largest_of(file)
    with bounded(node, resource.RLIMIT_FSIZE, largest):
        refused = []
        for number in range(1000, 1400):
            answer = await api.post("notify", **body(number))
            if answer.status_code != 200:
                refused.append(answer)
            else:
                stored.append(answer.json()["result"]["notifications"][0]["id"])
            if len(refused) >= 3:
                break
        assert [one.status_code for one in refused] == [503] * 3
        assert all(float(one.headers["retry-after"]) > 0 for one in refused)
        assert (await api.call("publish", channel="news", data={}))["offset"] == 1, "who needs no store notices nothing"
        assert (await get(node, "/health")).status_code == 200
    assert node.process.poll() is None, node.log

    again = [await patient(api, number) for number in range(5)]
    states = await api.states([*stored, *again])
    assert set(states) == {*stored, *again}, "all that was answered for is there"
    assert await node.end() == 0
    assert "Traceback" not in node.log
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_without_descriptors_nobody_new_comes_and_those_who_are_here_stay(fleet, bounded, tmp_path):  # L-14
    node = await fleet.node("node", HELIOGRAPH_STORE__URL=f"sqlite:///{tmp_path}/store.db")
    api = fleet.api(node)
    await api.call("publish", channel="news", data={"first": 1})  # its connection is kept
    most = descriptors_of(node) + 8
    with bounded(node, resource.RLIMIT_NOFILE, most):
        # The kernel takes them in; the process cannot.
        held = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(40)]
        await fleet.until(lambda: descriptors_of(node) >= most, "no descriptor is left")
        assert (await api.call("publish", channel="news", data={"still": "here"}))["offset"] == 2
    assert node.process.poll() is None, node.log
    for _, writer in held:
        writer.close()

    async def answers():
        with contextlib.suppress(httpx.HTTPError):
            return (await get(node, "/connection/websocket")).status_code == 426
        return False

    async with asyncio.timeout(60):  # only ends a hang
        while not await answers():  # noqa: ASYNC110 - what other processes do sets no event of ours
            await asyncio.sleep(0.1)
    assert (await api.call("publish", channel="news", data={"third": 3}))["offset"] == 3
    assert await node.end() == 0


def largest_of(file):
    """The size of the larger one of a database's two files."""
    return max(Path(f"{file}{suffix}").stat().st_size for suffix in ("", "-wal"))


def descriptors_of(node):
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def body(number):
    return {"user": f"u{number}", "title": "Tide", "body": "x" * 2000, "routes": ["email"], "idempotency_key": f"k{number}"}


async def notify(api, number):
    answer = await api.post("notify", **body(number))
    return answer.json()["result"]["notifications"][0]["id"] if answer.status_code == 200 else None


async def patient(api, number):
    """Ask again until it is taken, as callers do."""
    async with asyncio.timeout(60):  # only ends a hang
        while (stored := await notify(api, f"again-{number}")) is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.2)
    return stored


async def get(node, path):
    async with httpx.AsyncClient(timeout=5) as http:
        return await http.get(f"http://127.0.0.1:{node.port}{path}")
