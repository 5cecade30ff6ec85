"""What the outcome that a delivery ended with says about whose matter it was: one table, read by whatever counts failures."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from broker.notification import Outcome

__all__ = ["CLASSES", "FAILURES", "TOLD", "OutcomeClass"]


class OutcomeClass(StrEnum):
    """What an outcome comes to, when it is a delivery's last line; the last three are failures, by who can do something."""

    TOLD = "told"
    OPEN = "open"  # it goes on
    PASSED = "passed"  # nothing failed: there was nobody to tell on this route, or it was told or ended elsewhere
    USER = "user"  # the address of the user is no good: it is dead, or bounced before
    SYSTEM = "system"  # the provider, our settings or the message itself: operators and developers
    BUSINESS = "business"  # a rule kept it back: a preference, a cap, its time to live


CLASSES: Final[Mapping[Outcome, OutcomeClass]] = {
    Outcome.PUBLISHED: OutcomeClass.TOLD,
    Outcome.ACCEPTED: OutcomeClass.TOLD,
    Outcome.RETRY: OutcomeClass.OPEN,
    Outcome.DEFERRED: OutcomeClass.OPEN,
    Outcome.REPLAYED: OutcomeClass.OPEN,
    Outcome.OFFLINE: OutcomeClass.PASSED,
    Outcome.DIGESTED: OutcomeClass.PASSED,
    Outcome.ESCALATED: OutcomeClass.PASSED,
    Outcome.ACKNOWLEDGED: OutcomeClass.PASSED,
    Outcome.CANCELLED: OutcomeClass.PASSED,
    Outcome.SKIPPED: OutcomeClass.PASSED,
    Outcome.UNREGISTERED: OutcomeClass.USER,
    Outcome.SUPPRESSED: OutcomeClass.USER,
    Outcome.REFUSED: OutcomeClass.SYSTEM,
    Outcome.GAVE_UP: OutcomeClass.SYSTEM,
    Outcome.UNKNOWN: OutcomeClass.SYSTEM,
    Outcome.PAUSED: OutcomeClass.SYSTEM,  # while its step is there it waits, and is open
    Outcome.MUTED: OutcomeClass.BUSINESS,
    Outcome.CAPPED: OutcomeClass.BUSINESS,
    Outcome.HELD_OUT: OutcomeClass.BUSINESS,
    Outcome.EXPIRED: OutcomeClass.BUSINESS,
}

FAILURES: Final = (OutcomeClass.USER, OutcomeClass.SYSTEM, OutcomeClass.BUSINESS)
# The values, for whoever reads rows by the thousand.
TOLD: Final = frozenset(outcome.value for outcome, of_class in CLASSES.items() if of_class is OutcomeClass.TOLD)
