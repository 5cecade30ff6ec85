"""CPU and memory of the server's processes, when they run on this machine and psutil is installed."""

import asyncio
import importlib
import ipaddress
import time
from typing import Any

from loadtest.result import ServerSample
from loadtest.target import Target

__all__ = ["Observer", "find_server"]

_PERIOD_S = 0.5


def _psutil() -> Any:
    """Load psutil, which is an optional extra and ships no types; None where it is absent."""
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


def find_server(target: Target) -> list[int]:
    """Guess the server's process ids from who listens on the port; empty when it is elsewhere or cannot be seen."""
    psutil = _psutil()
    if psutil is None or not _is_loopback(target.host):
        return []
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return []
    return sorted(
        {
            connection.pid
            for connection in connections
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == target.port and connection.pid
        }
    )


class Observer:
    """Samples processes twice a second; `origin_ns` of the monotonic clock is the zero of its samples."""

    def __init__(self, pids: list[int]) -> None:
        self.samples: list[ServerSample] = []
        self.missing = ""
        self._processes = self._find(pids)
        self._origin_ns = time.monotonic_ns()
        self._last_ns, self._last_cpu_s = self._origin_ns, self.cpu_s()

    @property
    def can_see(self) -> bool:
        """Whether there is anything to watch."""
        return bool(self._processes)

    def restart(self, origin_ns: int) -> None:
        """Forget the samples and count time from `origin_ns`."""
        self.samples.clear()
        self._origin_ns = origin_ns
        self._last_ns, self._last_cpu_s = time.monotonic_ns(), self.cpu_s()

    async def run(self) -> None:
        """Sample until cancelled."""
        while self._processes:
            await asyncio.sleep(_PERIOD_S)
            now_ns, cpu_s = time.monotonic_ns(), self.cpu_s()
            elapsed_s = max(1e-9, (now_ns - self._last_ns) / 1e9)
            percent = max(0.0, cpu_s - self._last_cpu_s) / elapsed_s * 100
            self.samples.append(ServerSample((now_ns - self._origin_ns) / 1e9, percent, self.rss_mib()))
            self._last_ns, self._last_cpu_s = now_ns, cpu_s

    def cpu_s(self) -> float:
        """CPU seconds, user and system, that the processes have used so far."""
        return sum(sum(self._read(process, "cpu_times")[:2]) for process in self._processes)

    def rss_mib(self) -> float:
        """Resident memory of the processes together."""
        return sum(self._read(process, "memory_info")[0] for process in self._processes) / 2**20

    def _find(self, pids: list[int]) -> list[Any]:
        psutil = _psutil()
        if psutil is None:
            self.missing = "psutil is not installed: CPU and memory of the server were not watched"
            return []
        found = []
        for pid in pids:
            try:
                found.append(psutil.Process(pid))
            except psutil.Error:
                self.missing = f"process {pid} cannot be watched"
        if not pids:
            self.missing = "the server's process cannot be seen from here (use --pid): CPU and memory were not watched"
        return found

    def _read(self, process: Any, method: str) -> tuple[float, ...]:
        """Ask a process; zeros once it has gone."""
        try:
            answer: tuple[float, ...] = getattr(process, method)()
        except _psutil().Error:
            return (0.0, 0.0)
        return answer


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
