"""Where a run took place: machine, system, versions."""

import os
import platform
from importlib import metadata
from pathlib import Path

from loadtest.result import Environment

__all__ = ["describe_environment"]

_DISTRIBUTIONS = ("heliograph", "uvloop", "msgspec", "psutil")


def describe_environment(server: str) -> Environment:
    """Describe this machine; `server` is what the server said of itself, empty when it did not."""
    versions = {name: version for name in _DISTRIBUTIONS if (version := _version(name))}
    return Environment(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions=versions,
        server=server,
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    """Linux tells the model in /proc/cpuinfo; elsewhere the platform module must do."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # not POSIX, or not told
        return None
