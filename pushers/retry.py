"""When a failed delivery is tried again: a decision, never an act. Nobody sleeps on it; the moment becomes a row's due time.

Source of the figures: exponential backoff with jitter; Retry-After of RFC 9110 §10.2.3; the table for mail follows what
greylisting relays expect (RFC 5321 §4.5.4.1 asks for at least 30 minutes between later tries, and for days of patience).
"""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from config.settings import NotificationSettings

__all__ = ["MAIL_WAITS_S", "Exhausted", "RetryAt", "RetryPolicy", "clamp_after_s", "next_mail_try", "next_try"]

_AFTER_MIN_S: Final = 1.0
_AFTER_MAX_S: Final = 3600.0
# So many tenths more than the provider asked for, at most: those who were told the same moment shall not come in one burst.
_AFTER_SPREAD: Final = 0.1
# Beyond it the power of two would only overflow; every cap is reached long before.
_MAX_DOUBLINGS: Final = 60

# The first retry of a mail follows `RetryPolicy`: a relay that was busy for a moment. The later ones wait out greylisting.
MAIL_WAITS_S: Final = (60.0, 300.0, 900.0, 3600.0, 14400.0)
_MAIL_PATIENCE: Final = timedelta(hours=48)


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often, and how far apart."""

    base_s: float = 0.1
    cap_s: float = 30.0
    max_retries: int = 5
    jitter: Literal["full", "equal", "decorrelated"] = "full"

    @classmethod
    def of(cls, settings: NotificationSettings) -> "RetryPolicy":
        """Take the policy out of the settings."""
        return cls(settings.retry_base, settings.retry_cap, settings.retry_limit, settings.retry_jitter)


class RetryAt(msgspec.Struct, frozen=True):
    """Try again, not before this moment."""

    at: datetime


class Exhausted(msgspec.Struct, frozen=True):
    """That was the last try."""

    attempts: int


def next_try(
    policy: RetryPolicy, attempt: int, *, now: datetime, spread: float, after_s: float | None = None
) -> RetryAt | Exhausted:
    """Decide what follows failed attempt number `attempt`.

    Args:
        attempt: From 1.
        spread: The jitter drawn, in [0, 1).
        after_s: The provider's own word, which wins over the backoff within 1 second to 1 hour.
    """
    if attempt > policy.max_retries:
        return Exhausted(attempt)
    wait_s = _backoff_s(policy, attempt, spread) if after_s is None else _told_s(after_s, spread)
    return RetryAt(now + timedelta(seconds=wait_s))


def next_mail_try(
    policy: RetryPolicy,
    attempt: int,
    *,
    now: datetime,
    spread: float,
    first_at: datetime,
    after_s: float | None = None,
) -> RetryAt | Exhausted:
    """Decide what follows failed attempt number `attempt` of a mail: patience of up to 48 hours, not a number of tries.

    Args:
        first_at: When the notification was made.
    """
    if policy.max_retries == 0 or now - first_at >= _MAIL_PATIENCE:
        return Exhausted(attempt)
    if after_s is not None:
        wait_s = _told_s(after_s, spread)
    elif attempt == 1:
        wait_s = _backoff_s(policy, attempt, spread)
    else:
        wait_s = MAIL_WAITS_S[min(attempt - 2, len(MAIL_WAITS_S) - 1)] * (1 + _AFTER_SPREAD * spread)
    return RetryAt(now + timedelta(seconds=wait_s))


def clamp_after_s(after_s: float) -> float:
    """Bring a provider's word into the range that is believed."""
    return min(_AFTER_MAX_S, max(_AFTER_MIN_S, after_s))


def _told_s(after_s: float, spread: float) -> float:
    return clamp_after_s(after_s) * (1 + _AFTER_SPREAD * spread)


def _backoff_s(policy: RetryPolicy, attempt: int, spread: float) -> float:
    ceiling_s = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))
    match policy.jitter:
        case "full":
            return ceiling_s * spread
        case "equal":
            return ceiling_s / 2 * (1 + spread)
        case "decorrelated":
            return min(policy.cap_s, policy.base_s + spread * (3 * _mean_wait_s(policy, attempt - 1) - policy.base_s))


def _mean_wait_s(policy: RetryPolicy, retries: int) -> float:
    """The wait before the last one: it is kept nowhere, so its mean after so many retries stands for it."""
    wait_s = policy.base_s
    for _ in range(min(retries, _MAX_DOUBLINGS)):
        wait_s = min(policy.cap_s, (policy.base_s + 3 * wait_s) / 2)
    return wait_s
