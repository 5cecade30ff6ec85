"""`--workers N`: processes that share one port, and the one that keeps them.

It binds the port once for each worker (SO_REUSEPORT: the system shares connections out) and hands the sockets down, so that a
successor takes over what waits in its predecessor's queue. Beside that it owns what all share: the embedded Valkey, and the
simulators of development mode. A worker that dies comes back, later each time that it dies soon. SIGHUP replaces the workers
one after another, each of them once its successor's port answers; SIGTERM and SIGINT let all drain, twice in a hurry.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from config.clock import Clock, SystemClock
from config.errors import SettingsError
from config.logs import configure_logging, get_logger
from config.settings import Settings
from heliograph.demo import start_simulators
from heliograph.development import Development
from heliograph.embedded import embedded_valkey, find_server
from heliograph.ending import Ending
from heliograph.greeting import greet
from heliograph.listening import bind, bind_shared, port_of
from heliograph.orders import Assignment
from heliograph.roles import Role
from heliograph.slot import Slot
from heliograph.worker_process import WorkerFailed

__all__ = ["supervise"]

_log = get_logger()

# Beyond what the settings grant a drain: for what comes after it, closing the server, the engine, the store.
_CLOSING_S: Final = 15.0


def supervise(
    settings: Settings,
    role: Role,
    workers: int,
    *,
    file: Path | None,
    overrides: Mapping[str, Any],
    development: Development | None,
) -> int:
    """Keep workers until SIGTERM or SIGINT; returns the exit code.

    Args:
        settings: As this process has loaded them; each worker loads them again.
        role: What the workers do.
        workers: How many.
        file: Where settings come from.
        overrides: Flags, shaped like the file.
        development: What development mode knows; None outside it.
    Raises:
        SettingsError: The first worker cannot start; one line per reason.
    """
    configure_logging(settings.log.level, settings.log.format)
    supervisor = _Supervisor(settings, role, workers, file if development is None else None, overrides, development)
    return asyncio.run(supervisor.run())


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        role: Role,
        workers: int,
        file: Path | None,
        overrides: Mapping[str, Any],
        development: Development | None,
    ) -> None:
        self._settings, self._role, self._workers = settings, role, workers
        self._file, self._overrides, self._development = file, overrides, development
        self._clock: Clock = SystemClock()
        self._ending = Ending()
        self._roll_asked = asyncio.Event()

    async def run(self) -> int:
        self._ending.heed_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._roll_asked.set)
        async with contextlib.AsyncExitStack() as resources:
            slots, greeting = await self._prepare(resources)
            for slot in slots:
                resources.callback(slot.close)
            try:
                await self._ending.unless_begun(slots[0].start(greeting))
            except WorkerFailed as exc:
                if exc.problems:
                    raise SettingsError(exc.problems) from None
                return exc.code  # it has said why on standard error, which it shares with us
            return await self._keep(slots)

    async def _prepare(self, resources: contextlib.AsyncExitStack) -> tuple[list[Slot], Callable[[], None]]:
        """Open what the workers share; gives a place for each of them, and what is to be said when the first has started."""
        settings = self._settings
        program = find_server() if urlsplit(settings.broker.url).scheme == "memory" else None
        clients, operations = self._bind(resources)
        port = port_of(clients[0])
        overrides: dict[str, Any] = {**self._overrides, "http": {"host": settings.http.host, "port": port}}
        notes = [f"{self._workers} workers share the port; SIGHUP to {os.getpid()} replaces them one after another"]
        if program is not None:
            url = await resources.enter_async_context(embedded_valkey(program, self._clock))
            overrides["broker"] = {"url": url}
            notes.append(f"No Redis is configured: they share an embedded Valkey at {url}, which keeps nothing on disk")
        providers, control = {}, ""
        if self._development is not None:
            simulators = await start_simulators(self._development)
            resources.push_async_callback(simulators.close)
            providers, control = simulators.providers, simulators.control
        assignment = Assignment(
            self._role.name,
            number=0,
            file=None if self._file is None else str(self._file),
            overrides=overrides,
            is_dev=self._development is not None,
            providers=providers,
            control=control,
        )
        slots = [
            Slot(replace(assignment, number=number), listener, operator, self._ending, self._clock)
            for number, (listener, operator) in enumerate(zip(clients, operations, strict=True), 1)
        ]
        shown = settings.model_copy(update={"broker": settings.broker.model_copy(update=overrides.get("broker", {}))})
        first = operations[0]
        operations_port = 0 if first is None else port_of(first)
        return slots, lambda: greet(
            shown, self._role, self._development, port=port, operations_port=operations_port, notes=notes
        )

    def _bind(self, resources: contextlib.AsyncExitStack) -> tuple[list[socket.socket], list[socket.socket | None]]:
        """Bind the ports of all workers: that of clients, and that of operators where there is one."""
        http, first = self._settings.http, self._settings.prometheus.worker_port
        clients = [
            resources.enter_context(listener) for listener in bind_shared("http.port", http.host, http.port, self._workers)
        ]
        operations = [
            resources.enter_context(bind("prometheus.worker_port", http.host, first + index)) if first else None
            for index in range(self._workers)
        ]
        return clients, operations

    async def _keep(self, slots: Sequence[Slot]) -> int:
        """Keep everybody until the end, and see it through; tells the exit code."""
        for slot in slots:
            self._ending.on_hurry(slot.hurry)
        async with asyncio.TaskGroup() as group:
            for slot in slots:
                group.create_task(slot.keep(), name=f"slot:{slot.number}")
            rolling = group.create_task(self._roll(slots), name="rolling")
            await self._ending.begun.wait()
            rolling.cancel()
        _log.info("workers.stopping", workers=len(slots))
        node = self._settings.node
        timeout_s = node.shutdown_delay + node.shutdown_spread + node.shutdown_timeout + _CLOSING_S
        codes = await asyncio.gather(*(slot.stop(timeout_s) for slot in slots))
        return next((code for code in codes if code), 0)

    async def _roll(self, slots: Sequence[Slot]) -> None:
        """Replace everybody, one after another, whenever asked; who cannot be replaced goes on, and those after it."""
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            _log.info("workers.rolling", workers=len(slots))
            for slot in slots:
                if not await slot.replace():
                    _log.error("workers.kept", number=slot.number)
                    break
            else:
                _log.info("workers.rolled", workers=len(slots))
