"""What the pipeline is told of a call that ended without an answer, the same for every provider."""

from pushers.outcome import Ambiguous, ConfigPause, Retry, SendOutcome
from pushers.providers import errors

__all__ = ["outcome_of"]


def outcome_of(error: errors.TransportError) -> SendOutcome:
    """Translate by what is known: only what may have been carried out is ambiguous."""
    match error:
        case errors.Ambiguous():
            return Ambiguous(str(error))
        case errors.Misconfigured():
            return ConfigPause(str(error))
        case errors.TokenUnavailable():
            return Retry(str(error), error.retry_after_s)
        case _:
            return Retry(str(error))
