"""Where refusals are made known to the operator: in the log and in metrics; the audit hears of them where they are answered.

The one refused is told the code and no more.
"""

from typing import Final

from cachetools import TTLCache

from broker.caller import Caller
from config.clock import Clock
from config.logs import get_logger
from gateway.auth.decision import Decision

__all__ = ["Denials"]

_log = get_logger()
# The same refusal of the same somebody is logged once in so many seconds; metrics and the audit have them all.
_QUIET_S: Final = 10.0
_REMEMBERED_MAX: Final = 10_000
# So many rules are told apart in metrics; there are as many as an operator writes.
_RULES_MAX: Final = 1000
_OTHERS: Final = "other"


class Denials:
    """Counts refusals by action and rule, and tells of them."""

    def __init__(self, clock: Clock) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        # What a policy on trial would have refused.
        self.trial_counts: dict[tuple[str, str], int] = {}
        self._told: TTLCache[tuple[str, str, str, str], bool] = TTLCache(_REMEMBERED_MAX, _QUIET_S, timer=clock.monotonic)

    def note(self, decision: Decision, action: str, resource: str, by: Caller) -> None:
        """Take a refusal down.

        Args:
            action: As the audit writes it: `channel.publish`, `api.notify`, `rpc.call`.
            resource: What was asked for, as `kind:name`.
        """
        _count(self.counts, (action, decision.rule))
        self._tell("access.denied", decision.rule, action, resource, by)

    def note_trial(self, rule: str, action: str, resource: str, by: Caller) -> None:
        """Take down what a policy on trial would have refused, or what it would have allowed although it was refused."""
        _count(self.trial_counts, (action, rule))
        self._tell("policy.would_differ", rule, action, resource, by)

    def _tell(self, event: str, rule: str, action: str, resource: str, by: Caller) -> None:
        seen = (event, action, rule, by.actor.name)
        if seen not in self._told:
            self._told[seen] = True
            _log.info(event, action=action, resource=resource, rule=rule, by=by.actor.kind.value, name=by.actor.name)


def _count(counts: dict[tuple[str, str], int], key: tuple[str, str]) -> None:
    if key not in counts and len(counts) >= _RULES_MAX:
        key = (key[0], _OTHERS)
    counts[key] = counts.get(key, 0) + 1
