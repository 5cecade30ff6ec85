"""Who has been disturbed often enough: what the store knows, and what this batch of decisions adds to it.

Several processes that decide for one user at the same moment do not see each other's: then a cap may be passed by as many.
"""

from collections.abc import Iterable
from datetime import datetime

from broker.frequency import Frequency
from broker.ledger import PlanDone, Step
from broker.notification import State
from pushers.policies import Policies

__all__ = ["Counts"]


class Counts:
    """The counts for one batch."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._ids: dict[tuple[str, str], set[str]] = {}

    @classmethod
    async def read(cls, frequency: Frequency, steps: Iterable[Step], policies: Policies, now: datetime) -> "Counts":
        """Ask the store about those steps to which a cap applies; about none without asking.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """
        counts = cls(policies)
        users: dict[str, set[str]] = {}
        caps = {}
        for step in steps:
            if step.notification.state is State.PENDING and (cap := policies.cap(step)) is not None:
                category = step.notification.content.category
                users.setdefault(category, set()).add(step.notification.user)
                caps[category] = cap
        for category, named in users.items():
            told = await frequency.told(sorted(named), category, since=now - caps[category].window)
            counts._ids |= {(user, category): set(ids) for user, ids in told.items()}
        return counts

    def is_capped(self, step: Step) -> bool:
        """Whether the user has been disturbed often enough; what counts already may go on to its next route."""
        cap = self._policies.cap(step)
        if cap is None:
            return False
        ids = self._ids.get(_key(step), set())
        return step.notification.id not in ids and len(ids) >= cap.limit

    def add(self, done: PlanDone) -> None:
        """Take a decision into account."""
        if done.counts:
            self._ids.setdefault(_key(done.step), set()).add(done.step.notification.id)


def _key(step: Step) -> tuple[str, str]:
    return step.notification.user, step.notification.content.category
