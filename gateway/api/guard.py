"""What an API key may call: the one place where that is decided.

A key may call the methods that it names, and those that its role may `call`. Where it names patterns of channels, every channel
of a call must fit one; a method that can be given channels and is given none is then refused, since it would concern all of
them. Keys of the settings are asked nothing: whoever can write settings could give them any right.

Who hands out rights to keys could take any: so that needs a key that has them all. Where an operator wants it otherwise, a
policy may allow it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from broker.audit import Act, NoAudit, Witness
from broker.audit import Decision as Verdict
from broker.caller import caller
from gateway.api.keys import Permit
from gateway.auth.decision import Decision
from gateway.auth.denials import Denials
from gateway.auth.roles import RoleBook

__all__ = ["Guard"]

_BY_KEY: Final = Decision(True, "api_key:methods")
_NOT_BY_KEY: Final = Decision(False, "api_key:methods")
_CHANNEL: Final = Decision(False, "api_key:channels")
_HANDS_OUT: Final = Decision(False, "api_key:hands_out")
# By these a key could give itself, or another whose text it learns, what it has not.
_HANDING_OUT: Final = frozenset({"api_key_create", "api_key_rotate", "policy_rollback", "policy_set", "role_set"})
# No method is called so: only patterns fit that fit everything.
_EVERYTHING: Final = "*"

# Asked after the key has allowed a call; gives what is decided in the end.
Ask = Callable[[Decision, Permit, str, Sequence[str]], Decision]


class Guard:
    """Decides about calls.

    Args:
        policies: What policies have to say, where there are any.
    """

    def __init__(self, roles: RoleBook, denials: Denials, witness: Witness | None = None, policies: Ask | None = None) -> None:
        self._roles, self._denials, self._policies = roles, denials, policies
        self._witness: Witness = witness or NoAudit()

    def allows(self, permit: Permit, method: str, request: Any) -> bool:
        """Decide about a call; a refusal is made known."""
        decision = self.decide(permit, method, request)
        if not decision.allowed:
            resource = f"api:{method}"
            self._denials.note(decision, "api.call", resource, caller())
            self._witness.record(Act("api.call", resource, decision=Verdict.DENIED, rule=decision.rule))
        return decision.allowed

    def decide(self, permit: Permit, method: str, request: Any) -> Decision:
        """Decide about a call whose body was read."""
        channels = channels_of(request)
        decision = self._by_key(permit, method, channels)
        return decision if self._policies is None else self._policies(decision, permit, method, channels or ())

    def _by_key(self, permit: Permit, method: str, channels: Sequence[str] | None) -> Decision:
        decision = self._by_name(permit, method)
        if decision.allowed and method in _HANDING_OUT:
            has_all = permit.channels is None and self._by_name(permit, _EVERYTHING).allowed
            return decision if has_all else _HANDS_OUT
        if not decision.allowed or permit.channels is None or channels is None:
            return decision
        patterns = permit.channels
        fit = channels and all(any(pattern.matches(channel) for pattern in patterns) for channel in channels)
        return decision if fit else _CHANNEL

    def _by_name(self, permit: Permit, method: str) -> Decision:
        if any(pattern.matches(method) for pattern in permit.methods):
            return _BY_KEY
        return (self._roles.decide("call", method, (permit.role,)) if permit.role else None) or _NOT_BY_KEY


def channels_of(request: Any) -> Sequence[str] | None:
    """Tell the channels that a request names; None where its method knows none."""
    channel = getattr(request, "channel", None)
    if isinstance(channel, str):
        return (channel,) if channel else ()
    channels = getattr(request, "channels", None)
    return channels if isinstance(channels, list | tuple) else None
