"""Whether files have changed: told by their place on the disk, when they were written, and how long they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

__all__ = ["FilePrint", "look_at"]

# Inode, time of writing in ns, bytes. None where there is no such file.
FilePrint: TypeAlias = tuple[int, int, int] | None


def look_at(files: Sequence[Path]) -> tuple[FilePrint, ...]:
    """Note how files are now; blocks, so it is called in a thread."""
    return tuple(map(_look_at, files))


def _look_at(path: Path) -> FilePrint:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
