"""Starting the simulators as a child process, for a server in development mode. Imports none of them."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["LaunchFailed", "LaunchedSimulators", "launch"]

_START_S: Final = 20.0
_END_S: Final = 5.0
_LINE_LIMIT_BYTES: Final = 1 << 20


class LaunchFailed(Exception):
    """The simulators did not start; the text is what they said."""


class _Announcement(msgspec.Struct, frozen=True):
    """The child's one line: where everything is, or why it could not start."""

    control: str = ""
    providers: dict[str, dict[str, Any]] = {}
    error: str = ""


class LaunchedSimulators:
    """A running child. It ends with `close()`, and by itself when this process does, however that dies."""

    def __init__(self, process: asyncio.subprocess.Process, announcement: _Announcement) -> None:
        self._process = process
        self._announcement = announcement

    @property
    def control(self) -> str:
        """Address of the control interface, without a slash at the end."""
        return self._announcement.control

    @property
    def providers(self) -> dict[str, dict[str, Any]]:
        """Settings for `[providers]` that point at the simulators."""
        return self._announcement.providers

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the child has ended, for whatever reason; returns its exit code."""
        return await self._process.wait()

    async def close(self) -> None:
        """End the child; it is killed if it does not end in time. May come twice."""
        await _end(self._process)


async def launch(data_dir: str | Path, **ports: int) -> LaunchedSimulators:
    """Start the simulators and wait until they answer.

    Args:
        data_dir: Where they keep their keys; created if missing.
        ports: By the names that `suite.Ports` lists, such as `apns` and `control`; free ones are taken where left out.
    Raises:
        LaunchFailed: They ended at once (a port taken, a damaged file) or did not answer in time.
    """
    options = [f"--{name}-port={port}" for name, port in ports.items()]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory's own modules must not stand in for ours
        "-m",
        "loadtest.simulators",
        f"--data={data_dir}",
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT_BYTES,
        start_new_session=True,  # Ctrl-C in a terminal goes to the parent, which still needs them while it drains
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        announcement = msgspec.json.decode(line, type=_Announcement)
        if announcement.error:
            raise LaunchFailed(announcement.error)
        return LaunchedSimulators(process, announcement)
    except TimeoutError as exc:
        await _end(process)
        raise LaunchFailed("the simulators did not start in time") from exc
    except msgspec.DecodeError as exc:
        await _end(process)
        raise LaunchFailed(f"the simulators ended with code {process.returncode} before they had started") from exc
    except (LaunchFailed, asyncio.CancelledError):
        await _end(process)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
