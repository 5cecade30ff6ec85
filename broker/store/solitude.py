"""Whether this process is alone with a SQLite file, so that after a crash no lease has to run out before work goes on.

Every process that has a store open holds a shared lock on a file beside it. Who gets that lock exclusively while opening knows
that nobody else lives who could hold a lease. The lock dies with its process, however that ends.
"""

import os
import sys
from pathlib import Path
from typing import Self

__all__ = ["Solitude"]

if sys.platform != "win32":
    import fcntl


class Solitude:
    """The lock of one open store. Where the system has no such locks, nobody is ever alone, and leases run out by time."""

    def __init__(self, descriptor: int, *, is_alone: bool) -> None:
        self._descriptor = descriptor
        self.is_alone = is_alone

    @classmethod
    def seek(cls, database: Path) -> Self:
        """Try to be alone; else wait until whoever opens at this moment shares. Blocks, so not in the loop's thread.

        Raises:
            OSError: The lock's file cannot be made.
        """
        if sys.platform == "win32":
            return cls(-1, is_alone=False)
        descriptor = os.open(database.with_name(database.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return cls(descriptor, is_alone=False)
        return cls(descriptor, is_alone=True)

    def share(self) -> None:
        """Let others in. Blocks, so not in the loop's thread.

        The change from exclusive to shared has a gap (flock(2)) in which another may be alone: by then it must hold that this
        process has no lease yet.
        """
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def end(self) -> None:
        """Give the lock up; may come twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
