"""The steps that this process holds, from their claim until they are being written down.

A lease may run out while its step is still under way, for example because the store was away when it should have been
renewed. If the same process then claims the step again, it must not do it a second time: the new lease takes the place of
the old one, and what the first doing comes to is written down under it.

A step that is being written is not held any more: whoever claims it then claims what it has become, the next try or the next
decision, whose row goes by the same id.
"""

from datetime import timedelta

from broker.errors import StoreUnavailable
from broker.ledger import Ledger, Step
from config.clock import Clock

__all__ = ["Held", "renew_forever"]


class Held:
    """An index of held steps by id; the one place that knows the newest lease of each."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._known: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._steps

    def take(self, step: Step) -> bool:
        """Hold a claimed step; False when it is under way already, so that nobody begins it again."""
        is_new = step.id not in self._steps
        self._steps[step.id] = step
        return is_new

    def current(self, step: Step) -> Step:
        """Tell the step with its newest lease."""
        return self._steps.get(step.id, step)

    def drop(self, step: Step) -> None:
        """Let a step go: it is being written, or needs no writing."""
        self._steps.pop(step.id, None)

    def restore(self, step: Step) -> bool:
        """Hold a step again that was not written; False when it was claimed anew meanwhile and has begun another life."""
        return self._steps.setdefault(step.id, step) is step

    def lasting(self) -> list[Step]:
        """List the steps that were held at the last call too: most are gone long before they need a longer lease."""
        lasting = [step for id_, step in self._steps.items() if id_ in self._known]
        self._known = frozenset(self._steps)
        return lasting


async def renew_forever(held: Held, ledger: Ledger, clock: Clock, lease_s: float) -> None:
    """Hold what is under way for longer, three times per lease. A store that is away is tried again the next time."""
    while True:
        await clock.sleep(lease_s / 3)
        if not (steps := held.lasting()):
            continue
        try:
            await ledger.renew(steps, lease_until=clock.now() + timedelta(seconds=lease_s))
        except StoreUnavailable:
            continue  # the claim tells of the outage
