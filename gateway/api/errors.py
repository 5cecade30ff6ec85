"""Codes of failed API calls, and the HTTP status that each has in transport error mode."""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.channels import UnknownNamespace
from broker.errors import BadInput, NotFound, PositionLost, Unavailable

__all__ = [
    "BAD_REQUEST",
    "INTERNAL",
    "NOT_AVAILABLE",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "STATUS_BY_CODE",
    "TOO_MANY_REQUESTS",
    "UNAVAILABLE",
    "UNKNOWN_CHANNEL",
    "ApiError",
    "ApiFailure",
    "api_error_of",
    "status_of",
]


class ApiError(msgspec.Struct, frozen=True):
    """What an answer carries instead of a result."""

    code: int
    message: str


class ApiFailure(Exception):
    """A call fails with this error."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(f"{error.code} {error.message}")
        self.error = error


INTERNAL: Final = ApiError(100, "internal server error")
UNKNOWN_CHANNEL: Final = ApiError(102, "unknown channel")
PERMISSION_DENIED: Final = ApiError(103, "permission denied")
NOT_FOUND: Final = ApiError(104, "not found")
BAD_REQUEST: Final = ApiError(107, "bad request")
NOT_AVAILABLE: Final = ApiError(108, "not available")
TOO_MANY_REQUESTS: Final = ApiError(111, "too many requests")
UNRECOVERABLE_POSITION: Final = ApiError(112, "unrecoverable position")

# Same words, but the same call may succeed later; known by its identity.
UNAVAILABLE: Final = ApiError(100, "internal server error")

STATUS_BY_CODE: Final[Mapping[int, int]] = {
    100: 500,
    102: 404,
    103: 403,
    104: 404,
    107: 400,
    108: 400,
    111: 429,
    112: 416,
    113: 409,
}


def bad_request(detail: str) -> ApiFailure:
    """Refuse a call; the detail names the field and the rule."""
    return ApiFailure(ApiError(BAD_REQUEST.code, f"{BAD_REQUEST.message}: {detail}"))


def api_error_of(exc: Exception) -> ApiError:
    """Tell the error that stands for an exception; what is not listed is a bug of ours and says nothing of itself."""
    match exc:
        case ApiFailure():
            return exc.error
        case UnknownNamespace():
            return UNKNOWN_CHANNEL
        case PositionLost():
            return UNRECOVERABLE_POSITION
        case BadInput():
            return bad_request(str(exc)).error
        case NotFound():
            return ApiError(NOT_FOUND.code, str(exc))
        case Unavailable():
            return UNAVAILABLE
        case _:
            return INTERNAL


def status_of(error: ApiError) -> int:
    """Tell the HTTP status of an error in transport error mode."""
    return 503 if error is UNAVAILABLE else STATUS_BY_CODE.get(error.code, 500)
