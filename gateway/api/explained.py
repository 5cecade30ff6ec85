"""What each code of the HTTP API means, and whose matter it is: one table for OpenAPI, metrics and documentation."""

from collections.abc import Mapping
from typing import Final

from gateway.protocol.error_classes import ErrorClass, Explained

__all__ = ["API_ERRORS", "class_of_api_error"]

_USER, _SYSTEM, _BUSINESS = ErrorClass.USER, ErrorClass.SYSTEM, ErrorClass.BUSINESS
_FINAL: Final = "Repeating it helps nobody: change what is asked."

API_ERRORS: Final[Mapping[int, Explained]] = {
    explained.code: explained
    for explained in (
        Explained(
            100,
            "internal server error",
            _SYSTEM,
            "Something on this side failed or does not answer; the same call may succeed later.",
            "Try again with backoff, and with the same idempotency key.",
        ),
        Explained(102, "unknown channel", _USER, "The channel's namespace is not configured.", _FINAL),
        Explained(103, "permission denied", _BUSINESS, "The key's role or a policy does not allow the call.", _FINAL),
        Explained(104, "not found", _USER, "What the call names does not exist.", _FINAL),
        Explained(
            107, "bad request", _USER, "A field breaks a rule; the message names both. Repeating the call helps nobody.", _FINAL
        ),
        Explained(108, "not available", _BUSINESS, "The feature is not switched on for this channel.", _FINAL),
        Explained(
            111,
            "too many requests",
            _BUSINESS,
            "Calls come faster than the key's rate.",
            "Wait for `Retry-After`, then try again.",
        ),
        Explained(
            112,
            "unrecoverable position",
            _BUSINESS,
            "The stream has another epoch than the one asked for: begin anew.",
            "Load the state anew.",
        ),
        Explained(113, "conflict", _USER, "Something else was stored meanwhile.", "Read again, decide, and try again."),
    )
}


def class_of_api_error(code: int) -> ErrorClass:
    """Tell whose matter it is; codes of an application's own, which RPC handlers answer with, are its rules."""
    explained = API_ERRORS.get(code)
    return explained.error_class if explained else ErrorClass.BUSINESS
