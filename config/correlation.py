"""The id of the request that something is done for: it stands in every line of the log, and beside what is stored for it."""

from contextvars import ContextVar
from typing import Final

__all__ = ["CORRELATION_ID"]

# Empty where nobody asked. A variable of its own: a library's for any number of them copies what it holds at every request.
CORRELATION_ID: Final[ContextVar[str]] = ContextVar("correlation_id", default="")
