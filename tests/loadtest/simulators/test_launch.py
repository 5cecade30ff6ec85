"""The simulators as a child process: announced in one line, ended with their parent."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.settings import ProvidersSettings
from loadtest.simulators.launch import LaunchedSimulators, LaunchFailed, launch


@pytest.fixture
async def launched(data_dir: Path) -> AsyncIterator[LaunchedSimulators]:
    child = await launch(data_dir)
    yield child
    await child.close()


async def test_a_child_announces_itself(launched: LaunchedSimulators, call_control: Callable[..., Any]) -> None:
    assert ProvidersSettings.model_validate(launched.providers).apns.is_configured
    assert await call_control(f"{launched.control}/outbox") == (200, {"items": []})


async def test_close_ends_it_and_may_come_twice(launched: LaunchedSimulators) -> None:
    await launched.close()
    await launched.close()
    assert await launched.wait() == 0
    assert not psutil.pid_exists(launched.pid)


@pytest.mark.slow
async def test_a_child_that_does_not_end_is_killed(launched: LaunchedSimulators) -> None:
    os.kill(launched.pid, signal.SIGSTOP)
    await launched.close()
    assert await launched.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it_in_good_order(launched: LaunchedSimulators, number: signal.Signals) -> None:
    os.kill(launched.pid, number)
    async with asyncio.timeout(10):
        assert await launched.wait() == 0


async def test_it_does_not_outlive_a_killed_parent(data_dir: Path) -> None:
    """The parent is a process of its own, killed without a chance to say goodbye."""
    program = (
        "import asyncio, sys\n"
        "from loadtest.simulators.launch import launch\n"
        "async def main():\n"
        "    print((await launch(sys.argv[1])).pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, 10)
    assert not child.is_running()


async def test_a_signal_to_the_terminals_group_spares_it(launched: LaunchedSimulators) -> None:
    assert os.getpgid(launched.pid) != os.getpgid(0)


async def test_a_taken_port_is_said(launched: LaunchedSimulators, data_dir: Path) -> None:
    taken = int(launched.control.rpartition(":")[2])
    with pytest.raises(LaunchFailed, match="in use"):
        await launch(data_dir, control=taken)


async def test_a_damaged_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{}")
    with pytest.raises(LaunchFailed, match=r"credentials\.json: not a file of simulator credentials"):
        await launch(tmp_path)


async def test_a_port_of_no_simulator_is_said(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="ended with code 2"):
        await launch(tmp_path, gopher=70)


async def test_a_relative_folder_and_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call_control: Callable[..., Any]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    child = await launch("data/simulators")
    try:
        assert Path(child.providers["apns"]["ca_file"]) == tmp_path / "data" / "simulators" / "ca.pem"
    finally:
        await child.close()


async def test_the_announcement_is_one_line(data_dir: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "loadtest.simulators", f"--data={data_dir}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    announcement = json.loads(await process.stdout.readline())
    assert announcement.keys() == {"control", "providers"}
    process.stdin.close()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0
