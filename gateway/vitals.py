"""How much room a process has left: descriptors, memory, and the disk that its store's file lies on."""

import resource
import shutil
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Vitals", "read_vitals"]

# Linux has the first, macOS and the BSDs the second.
_DESCRIPTORS: Final = (Path("/proc/self/fd"), Path("/dev/fd"))
_MEMORY: Final = Path("/proc/self/statm")


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is used and what there is; left out where this system does not tell, or the store is no file.

    Attributes:
        descriptor_limit: -1 for none.
        disk: The folder of the store's file.
    """

    descriptors_used: int | None = None
    descriptor_limit: int | None = None
    memory_bytes: int | None = None
    disk: str = ""
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


def read_vitals(store_file: Path | None = None) -> Vitals:
    """Read them. May block for a moment: call it in a thread. Raises nothing: what cannot be read is left out."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free, total = _room(store_file)
    return Vitals(
        descriptors_used=_descriptors(),
        descriptor_limit=-1 if soft == resource.RLIM_INFINITY else soft,
        memory_bytes=_memory(),
        disk="" if store_file is None else str(store_file.parent),
        disk_free_bytes=free,
        disk_total_bytes=total,
    )


def _descriptors() -> int | None:
    for folder in _DESCRIPTORS:
        try:
            return sum(1 for _ in folder.iterdir()) - 1  # one is that of looking
        except OSError:
            continue
    return None


def _memory() -> int | None:
    try:
        pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _room(file: Path | None) -> tuple[int | None, int | None]:
    if file is None:
        return None, None
    try:
        usage = shutil.disk_usage(file.parent)
    except OSError:
        return None, None
    return usage.free, usage.total
