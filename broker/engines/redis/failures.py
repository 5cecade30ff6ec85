"""From the client library's errors to ours, in one place. Texts never hold keys, payloads or passwords."""

from redis import exceptions

from broker.errors import EngineUnavailable

__all__ = ["LOST", "reason_of", "refused", "unanswered"]

# What ends a connection; everything else is the answer to one command.
LOST = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError, TimeoutError)

_TEXT_LIMIT = 160


def unanswered(exc: BaseException) -> EngineUnavailable:
    """Say that a connection ended, or that no answer came in time: what was under way may have happened or not."""
    reason = "it took too long" if isinstance(exc, TimeoutError | exceptions.TimeoutError) else "the connection is lost"
    return EngineUnavailable(f"Redis did not answer: {reason}")


def refused(exc: exceptions.ResponseError) -> EngineUnavailable:
    """Say that the server answered with an error."""
    return EngineUnavailable(f"Redis refused: {reason_of(exc)}")


def reason_of(exc: BaseException) -> str:
    """Give the first line of an error's text, cut short."""
    code = getattr(exc, "status_code", None)
    line = (str(exc).splitlines() or [""])[0][:_TEXT_LIMIT]
    return f"{code} {line}" if code and not line.startswith(code) else line or type(exc).__name__
