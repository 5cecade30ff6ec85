"""Whether notifications are taken now, by what operators say: in only-critical mode none but critical ones are."""

from collections.abc import Callable

from broker.errors import Withheld
from broker.notification import Lane
from broker.overrides import InForce, Kind
from config.clock import Clock

__all__ = ["Intake", "intake_of", "open_to_all"]

Intake = Callable[[Lane], None]
"""Lets a notification of a lane in, or raises `Withheld`."""


def open_to_all(_lane: Lane) -> None:
    """Take everything."""


def intake_of(in_force: Callable[[], InForce], clock: Clock) -> Intake:
    """Make what holds to the overrides in force."""

    def check(lane: Lane) -> None:
        overrides = in_force()
        if overrides.is_only_critical and lane is not Lane.CRITICAL:
            told = overrides.maintenance or "only critical notifications are taken now, try again later"
            raise Withheld(told, retry_after_s=overrides.retry_after_s(Kind.ONLY_CRITICAL, clock.now()))

    return check
