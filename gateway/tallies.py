"""What was asked and how it went, counted in plain integers: commands of clients, and calls of the server API.

Nothing here names a user or a channel, and every name comes from a table of ours, so that the number of series is bounded.
"""

from typing import Final

from gateway.timings import Timings

__all__ = ["CallTally", "CommandTally", "MethodTally"]

_OTHER: Final = -1


class CommandTally:
    """Commands by name, and their errors by name and code."""

    __slots__ = ("commands", "errors")

    def __init__(self) -> None:
        self.commands: dict[str, int] = {}
        self.errors: dict[tuple[str, int], int] = {}

    def count(self, kind: str) -> None:
        """Count a command that begins."""
        self.commands[kind] = self.commands.get(kind, 0) + 1

    def count_error(self, kind: str, code: int) -> None:
        """Count one that failed. Codes of an application's own are told apart up to 5999, since it chooses them."""
        key = (kind, code if 0 < code < 6000 else _OTHER)
        self.errors[key] = self.errors.get(key, 0) + 1


class MethodTally:
    """Calls of one method: how many ended with which code (0 for a result), and how long they took."""

    __slots__ = ("by_code", "timings")

    def __init__(self) -> None:
        self.by_code: dict[int, int] = {}
        self.timings = Timings()

    def count(self, code: int, took_s: float) -> None:
        """Count one that ended."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        self.timings.count(took_s)


class CallTally:
    """Calls of the server API, those within batches and from consumers included, by method."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodTally] = {}
        # Requests that were refused before a method was called, by HTTP status.
        self.refused: dict[int, int] = {}

    def of(self, method: str) -> MethodTally:
        """Give what counts a method."""
        return self.methods.setdefault(method, MethodTally())

    def refuse(self, status: int) -> None:
        """Count a request that reached no method."""
        self.refused[status] = self.refused.get(status, 0) + 1
