"""The embedded Valkey: found or not, and what it keeps of itself."""

import platform
import shutil
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
        socket = Path(url.removeprefix("redis+unix://"))
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert [path.name for path in socket.parent.iterdir()] == [socket.name]
    assert not socket.parent.exists()


async def test_a_program_that_does_not_run_is_told_in_one_line():
    with pytest.raises(SettingsError) as refused:
        async with embedded_valkey(Path(shutil.which("false") or ""), SystemClock()):
            pass
    assert refused.value.problems == ["broker.url: the embedded Valkey ended with code 1"]
