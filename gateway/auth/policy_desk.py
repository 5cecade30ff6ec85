"""Where policies are asked: the one in force, and beside it one on trial, whose decisions are only counted.

Decisions are remembered per client, action and name, as long as what they were made of is the same: what the client brought,
its roles, what would hold without policies, and the minute where a rule asked for the time. A new policy begins with no memory.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from broker.caller import caller
from config.clock import Clock
from gateway.api.keys import Permit
from gateway.auth.decision import Decision
from gateway.auth.denials import Denials
from gateway.auth.policy import Facts, Policy
from gateway.auth.roles import NO_ROLES, RoleBook, Standing
from gateway.callers import caller_of
from gateway.session.client import Client

__all__ = ["DeskStatistics", "PolicyDesk"]

_API: Final = "api"
_IN_CHANNELS: Final = frozenset({"subscribe", "publish", "presence", "history"})
_AUDITED_AS: Final = {"connect": "client.connect", "rpc": "rpc.call"}


class DeskStatistics(msgspec.Struct, frozen=True):
    """What was decided since the start: asked in all, answered from memory; and how many rules there are."""

    asked: int
    remembered: int
    held: int
    rules: int
    trial_rules: int


class _Remembered(msgspec.Struct, frozen=True):
    standing: Standing | None
    roles: tuple[str, ...]
    base: Decision
    # 0 where no rule asked for the time.
    minute: int
    decision: Decision

    def is_of(self, standing: Standing | None, roles: tuple[str, ...], base: Decision) -> bool:
        """Whether it was made of these."""
        return self.standing is standing and self.roles == roles and self.base == base


class PolicyDesk:
    """Decides for one node.

    Args:
        remember: How many decisions are remembered.
    """

    def __init__(self, roles: RoleBook, denials: Denials, clock: Clock, *, remember: int) -> None:
        self._roles, self._denials, self._clock = roles, denials, clock
        self.enforced: Policy | None = None
        self.trial: Policy | None = None
        self._remember = remember
        self._memory: LRUCache[tuple[str, str, str], _Remembered] = LRUCache(max(1, remember))
        self._asked = self._from_memory = 0

    @property
    def is_idle(self) -> bool:
        """Whether there is nobody to ask."""
        return not self.enforced and not self.trial

    def enforce(self, policy: Policy | None) -> None:
        """Let a policy decide from now on; None ends that."""
        self.enforced = policy
        self._memory.clear()

    def try_out(self, policy: Policy | None) -> None:
        """Have a policy watched beside the one in force; None ends that."""
        self.trial = policy
        self._memory.clear()

    def judge(self, base: Decision, action: str, client: Client, name: str) -> Decision:
        """Decide about an action of a client, `base` being what everything else says; `name` is that of the channel or method,
        empty for `connect`. Never raises and never waits."""
        self._asked += 1
        standing = client.standing
        roles = self._roles.roles_of(client.user, NO_ROLES if standing is None else standing.claimed)
        key = (client.id, action, name)
        known = self._memory.get(key)
        if known is not None and known.is_of(standing, roles, base) and known.minute in (0, self._minute()):
            self._from_memory += 1
            return known.decision
        is_channel = action in _IN_CHANNELS
        facts = Facts(
            action,
            channel=name if is_channel else "",
            method="" if is_channel else name,
            user=client.user,
            roles=roles,
            claims={} if standing is None else standing.claims,
            address=client.transport.address,
            transport=client.wire.transport_name,
            origin=client.transport.headers.get("origin", ""),
        )
        decision, asks_time = self._decide(base, facts)
        if self.trial is not None:
            audited = _AUDITED_AS.get(action, f"channel.{action}")
            resource = f"channel:{name}" if is_channel else f"method:{name}" if name else ""
            self._try(base, decision, facts, lambda rule: (rule, audited, resource, caller_of(client)))
        elif self._remember:
            self._memory[key] = _Remembered(standing, roles, base, self._minute() if asks_time else 0, decision)
        return decision

    def judge_call(self, base: Decision, permit: Permit, method: str, channels: Sequence[str]) -> Decision:
        """Decide about a call of the API with a key of the store: every channel that it names must pass."""
        if self.is_idle:
            return base
        who = caller()
        decision = base
        for channel in dict.fromkeys(channels) or ("",):
            facts = Facts(
                "call",
                channel=channel,
                method=method,
                key=permit.actor.name,
                roles=(permit.role,) if permit.role else (),
                address=who.address,
                transport=_API,
            )
            self._asked += 1
            decision, _ = self._decide(base, facts)
            if self.trial is not None:
                self._try(base, decision, facts, lambda rule: (rule, "api.call", f"api:{method}", who))
            if not decision.allowed:
                return decision
        return decision

    def statistics(self) -> DeskStatistics:
        """Count."""
        rules, trial_rules = len(self.enforced or ()), len(self.trial or ())
        return DeskStatistics(self._asked, self._from_memory, len(self._memory), rules, trial_rules)

    def _decide(self, base: Decision, facts: Facts) -> tuple[Decision, bool]:
        """Decide by the policy in force; tells also whether the time was asked for."""
        return (base, False) if self.enforced is None else self._ask(self.enforced, base, facts)

    def _ask(self, policy: Policy, base: Decision, facts: Facts) -> tuple[Decision, bool]:
        groups = policy.concerning(facts.action, facts.channel, facts.method)
        if not groups:
            return base, False
        if policy.networks:
            facts = msgspec.structs.replace(facts, networks=policy.networks_of(facts.address))
        asks_time = True in [group.asks_time for group in groups]
        return policy.decide(base, facts, self._clock.now(), groups), asks_time

    def _try(self, base: Decision, decision: Decision, facts: Facts, told: Callable[[str], tuple[str, str, str, Any]]) -> None:
        """Ask the policy on trial, and take down where it would have decided otherwise."""
        assert self.trial is not None
        tried, _ = self._ask(self.trial, base, facts)
        if tried.allowed is not decision.allowed:
            self._denials.note_trial(*told(tried.rule))

    def _minute(self) -> int:
        return int(self._clock.now().timestamp() // 60)
