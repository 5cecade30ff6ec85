"""Moves what is committed from SQLite's write-ahead log into the file, beside the writer.

By itself SQLite does this at the end of every commit that finds a thousand pages in the log: then somebody's answer waits for
the file to be on the disk too, 10 ms as a rule and a tenth of a second now and then. A checkpoint of another connection keeps
neither writers nor readers waiting (https://www.sqlite.org/wal.html, "Checkpointing"). While a writer never rests it can not
start the log anew, though; so the writer does it after all where the log has become long, and finds most of it done.
"""

import contextlib
import sqlite3
from pathlib import Path
from threading import Event, Thread
from typing import Final

__all__ = ["LONGEST_LOG_PAGES", "Checkpoints"]

# How long the log may become before the writer moves what is left in it: some 32 MB.
LONGEST_LOG_PAGES: Final = 8000
_PAUSE_S: Final = 0.5


class Checkpoints:
    """A thread that has a connection of its own, until `close`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_due, self._is_over = Event(), Event()
        # A process that ends without closing loses nothing by it: the log is read the next time.
        self._thread = Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()

    def note_commit(self) -> None:
        """Hear that something was committed; from any thread."""
        if not self._is_due.is_set():
            self._is_due.set()

    def close(self) -> None:
        """End, after what is under way; may come twice."""
        self._is_over.set()
        self._is_due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._is_due.wait()
            if self._is_over.wait(_PAUSE_S):
                return
            self._is_due.clear()
            # What goes wrong here goes wrong for the writer too, who tells of it; the log holds it all meanwhile.
            with contextlib.suppress(sqlite3.Error):
                self._move()

    def _move(self) -> None:
        with contextlib.closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
