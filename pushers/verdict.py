"""What a call's outcome means for its step: a pure table from (outcome, attempt, now) to the row that is recorded."""

from datetime import datetime
from typing import Final, assert_never

from broker.ledger import SendDone, Step
from broker.notification import Device, Entry, Outcome, Provider
from pushers.addresses import masked
from pushers.outcome import (
    Accepted,
    Ambiguous,
    ConfigPause,
    DropDevice,
    DropMessage,
    Retry,
    SendOutcome,
    TooLarge,
)
from pushers.retry import Exhausted, RetryPolicy, next_mail_try, next_try

__all__ = [
    "BREAKER_OPEN",
    "broken",
    "expired",
    "judge",
    "kept",
    "passed_on",
    "put_off",
    "removed",
    "suppressed",
    "unconfigured",
]

# The detail of `Outcome.SKIPPED`.
BREAKER_OPEN: Final = "its carrier is left alone: its breaker is open, or it is paused"


def judge(
    step: Step, device: Device, outcome: SendOutcome, *, policy: RetryPolicy, now: datetime, resume_at: datetime, spread: float
) -> SendDone:
    """Turn the outcome of a call into what is recorded.

    Args:
        resume_at: When a provider that has to be left alone is asked again; read for `ConfigPause` only.
        spread: The jitter drawn for a retry, in [0, 1).
    """
    match outcome:
        case Accepted(provider_id):
            # Due at once although push is waited for: the plan waits by the timeline, or ends where no way lies ahead.
            return _ended(step, device, Outcome.ACCEPTED, now, provider_id)
        case Retry(reason, after_s):
            return _again(step, device, Outcome.GAVE_UP, reason, after_s, policy, now, spread)
        case Ambiguous(reason, may_repeat=False):
            return _ended(step, device, Outcome.UNKNOWN, now, f"no answer, and a repeat could double: {reason}")
        case Ambiguous(reason):
            return _again(step, device, Outcome.UNKNOWN, f"no answer: {reason}", None, policy, now, spread)
        case DropDevice(reason, as_of, confident):
            if not confident:  # it may be our own mix-up: the address stays
                return _ended(step, device, Outcome.REFUSED, now, reason)
            done = _ended(step, device, Outcome.UNREGISTERED, now, reason)
            return SendDone(step, done.entry, now, drop_device=as_of)
        case DropMessage(reason):
            return _ended(step, device, Outcome.REFUSED, now, reason)
        case TooLarge(limit_bytes):
            return _ended(step, device, Outcome.REFUSED, now, f"larger than {limit_bytes} bytes")
        case ConfigPause(reason):
            # Nothing is wrong with the message, so it waits as long as it lives, and loses no try.
            retry_at = min(resume_at, step.notification.expires_at)
            return SendDone(step, _line(step, device, Outcome.PAUSED, now, reason), now, retry_at=retry_at, counts=False)
        case _ as unknown:
            assert_never(unknown)


def kept(outcome: SendOutcome) -> SendOutcome:
    """Take the consequence from an answer that a device is gone: this message ends there, the device stays."""
    if not isinstance(outcome, DropDevice):
        return outcome
    return DropDevice(f"{outcome.reason}; kept, since too many are called gone at once", outcome.as_of, confident=False)


def put_off(step: Step, *, until: datetime, now: datetime) -> SendDone:
    """Put a step back that was not tried: nothing is told, and no try is lost. It comes back to expire at the latest."""
    return SendDone(step, None, now, retry_at=min(until, max(now, step.notification.expires_at)), counts=False)


def expired(step: Step, device: Device, *, now: datetime) -> SendDone:
    """End a step whose notification is not worth telling any more."""
    return _ended(step, device, Outcome.EXPIRED, now, "expired before it was sent")


def passed_on(step: Step, device: Device, *, now: datetime) -> SendDone:
    """End a step whose carrier's breaker is open: the decision looks for another way, and comes back where there is none."""
    return _ended(step, device, Outcome.SKIPPED, now, BREAKER_OPEN)


def removed(step: Step, *, now: datetime) -> SendDone:
    """End a step whose device is gone: nothing is known of it that could be told."""
    return SendDone(step, None, now)


def suppressed(step: Step, device: Device, *, now: datetime) -> SendDone:
    """End a step whose address is to be left alone."""
    return _ended(step, device, Outcome.SUPPRESSED, now, f"left alone since a {step.suppressed}")


def unconfigured(step: Step, device: Device, *, now: datetime) -> SendDone:
    """End a step whose provider was taken out of the settings."""
    return _ended(step, device, Outcome.PAUSED, now, f"{device.carrier} is not configured")


def broken(step: Step, device: Device, *, policy: RetryPolicy, now: datetime, spread: float) -> SendDone:
    """Put a step back that failed through an error of ours, or give it up after its last try."""
    return _again(step, device, Outcome.GAVE_UP, "internal error", None, policy, now, spread)


def _again(
    step: Step,
    device: Device,
    last: Outcome,
    reason: str,
    after_s: float | None,
    policy: RetryPolicy,
    now: datetime,
    spread: float,
) -> SendDone:
    """Try again; after the last try, or where the next would come too late, end with `last` so that another route may help."""
    notification = step.notification
    if device.provider is Provider.EMAIL:
        decision = next_mail_try(
            policy, step.attempt, now=now, spread=spread, first_at=notification.created_at, after_s=after_s
        )
    else:
        decision = next_try(policy, step.attempt, now=now, spread=spread, after_s=after_s)
    if isinstance(decision, Exhausted):
        return _ended(step, device, last, now, reason)
    if decision.at >= notification.expires_at:
        return _ended(step, device, last, now, f"{reason}; the next try would come after it expires")
    return SendDone(step, _line(step, device, Outcome.RETRY, now, reason), now, retry_at=decision.at)


def _ended(step: Step, device: Device, outcome: Outcome, now: datetime, detail: str) -> SendDone:
    return SendDone(step, _line(step, device, outcome, now, detail), now)


def _line(step: Step, device: Device, outcome: Outcome, now: datetime, detail: str) -> Entry:
    provider = device.provider
    return Entry(provider.route, outcome, now, provider, masked(device), device.id, step.attempt, detail)
