"""What a supervisor and its workers say to each other, a line at a time: JSON up, single words down.

A worker reads its assignment from standard input, and then orders; when standard input ends, its supervisor is gone, and it
ends as well. On standard output it tells how far it is.
"""

from typing import Any, Final, Literal

import msgspec

__all__ = ["LINE_LIMIT_BYTES", "Assignment", "Order", "Report"]

# Of the longest line that either side reads: an assignment brings settings, a report brings problems.
LINE_LIMIT_BYTES: Final = 1 << 20

# go: let the port answer · retire: a successor listens, drain · stop: drain · hurry: wait for nobody
Order = Literal["go", "retire", "stop", "hurry"]


class Assignment(msgspec.Struct, frozen=True):
    """What a worker needs to know beside settings, which it loads itself, so that a successor has the newest.

    Attributes:
        role: Name of its role.
        number: From 1; the successor of a worker has its number.
        file: The settings file.
        overrides: Flags, and what the supervisor has decided, shaped like the file.
        clients: Descriptor of the socket that is bound for clients; -1 until the worker is launched.
        operations: That of the operators' port, where there is one.
        is_dev: Whether development mode is on; then:
        providers: How the simulators are reached, shaped like the section `providers`.
        control: Address of their control interface.
    """

    role: str
    number: int
    clients: int = -1
    operations: int | None = None
    file: str | None = None
    overrides: dict[str, Any] = {}
    is_dev: bool = False
    providers: dict[str, Any] = {}
    control: str = ""


class Report(msgspec.Struct, frozen=True):
    """How far a worker is: everything is open, its port answers, or it cannot start because of `problems`."""

    event: Literal["opened", "started", "refused"]
    problems: list[str] = []
