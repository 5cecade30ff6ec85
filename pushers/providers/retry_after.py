"""The header `Retry-After` (RFC 9110 §10.2.3): seconds, or the date of an HTTP message."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, overload

from pushers.outcome import Retry

__all__ = ["MAX_RETRY_AFTER_S", "parse_retry_after", "server_error"]

# A provider that says more is believed no further: an hour later the call is tried again.
MAX_RETRY_AFTER_S: Final = 3600.0


@overload
def parse_retry_after(text: str, now: datetime) -> float | None: ...
@overload
def parse_retry_after(text: str, now: datetime, otherwise_s: float) -> float: ...
def parse_retry_after(text: str, now: datetime, otherwise_s: float | None = None) -> float | None:
    """Read how many seconds to wait, between 0 and an hour; `otherwise_s` when it is absent or not understood."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return otherwise_s
    if at.tzinfo is None:  # "-0000"; HTTP dates are GMT whatever they say
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), MAX_RETRY_AFTER_S)


def server_error(reason: str, said: str, now: datetime, otherwise_s: float | None = None) -> Retry:
    """Judge a status of 500 or more.

    A provider that says when to come back is in control of itself: its word is obeyed, and the breaker, which is for those that
    are not, does not count it.

    Args:
        said: Its `Retry-After`, "" for none.
        otherwise_s: How long to wait where it says nothing; None leaves that to our own schedule.
    """
    after_s = parse_retry_after(said, now)
    if after_s is None:
        return Retry(reason, otherwise_s)
    return Retry(reason, after_s, is_failure=False)
