"""The embedded Valkey: found or not, and what it keeps of itself."""

import contextlib
import platform
import resource
import shutil
import socket
import stat
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.errors import SettingsError
from heliograph.embedded import embedded_valkey, find_server


def test_a_system_that_there_is_none_for_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(SettingsError) as refused:
        find_server()
    [line] = refused.value.problems
    assert line.startswith("broker.url: there is no embedded Valkey for this system")


@pytest.mark.redis
async def test_only_we_may_enter_and_nothing_is_left_behind():
    async with embedded_valkey(find_server(), SystemClock()) as url:
        place = Path(url.removeprefix("redis+unix://"))
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert not place.parent.exists()


async def test_a_program_that_does_not_run_is_told_in_one_line():
    with pytest.raises(SettingsError) as refused:
        async with embedded_valkey(Path(shutil.which("false") or ""), SystemClock()):
            pass
    assert refused.value.problems == ["broker.url: the embedded Valkey ended with code 1"]


async def test_a_program_that_cannot_be_started_is_told_in_one_line():
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(SettingsError) as refused, contextlib.closing(socket.socket()) as newest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest.fileno() + 1, granted[1]))
        try:
            async with embedded_valkey(Path("valkey-server"), SystemClock()):
                pass
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, granted)
    assert refused.value.problems == ["broker.url: the embedded Valkey could not be started: Too many open files"]
