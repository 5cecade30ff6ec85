"""Who asks: bound at the edge where a request comes in, read where something is done because of it.

It is carried as the correlation id of the log is, beside the arguments: a store that writes down who changed a row is far below
the method that was called, and whatever stands between has no use for it.

A command of a client is stepped in its connection's own turn, and its rest runs in a task (`gateway/session/eager.py`). A
variable that is set inside would be seen by what comes after it in the same turn, and could not be taken back in the task. So
`within` runs each step of a coroutine in a context of its own, whoever drives it.
"""

from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from config.correlation import CORRELATION_ID
from config.stepping import Scoped

__all__ = ["SYSTEM", "Actor", "ActorKind", "Caller", "bind_caller", "caller", "within"]

T = TypeVar("T")


class ActorKind(StrEnum):
    """What kind of somebody does something."""

    API_KEY = "api_key"
    USER = "user"
    OPERATOR = "operator"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Actor(msgspec.Struct, frozen=True):
    """Who does something: the name of an API key (or its first characters, never more), a user's id, an operator's name."""

    kind: ActorKind
    name: str = ""


class Caller(msgspec.Struct, frozen=True):
    """An actor, and where the request came from.

    Attributes:
        address: Of the peer, empty where there is none.
        transport: `api`, `consumer`, `websocket`, …; empty for what the system does by itself.
    """

    actor: Actor
    address: str = ""
    transport: str = ""
    correlation_id: str = ""


SYSTEM: Final = Caller(Actor(ActorKind.SYSTEM))

_CALLER: Final[ContextVar[Caller]] = ContextVar("caller", default=SYSTEM)


def caller() -> Caller:
    """Tell who asks; the system itself where nobody does."""
    return _CALLER.get()


def bind_caller(who: Caller) -> None:
    """Say who asks from here on in this task: for edges whose every request has a task of its own."""
    _CALLER.set(who)
    if who.correlation_id:
        CORRELATION_ID.set(who.correlation_id)


async def within(who: Caller, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` with a caller that nothing else sees, however this coroutine is driven. Log lines get its correlation id."""
    context = copy_context()
    context.run(bind_caller, who)
    return await Scoped(work, context)
