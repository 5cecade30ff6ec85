"""What the audit is told of clients' commands: every denial, and grants where the settings ask for them.

A command that goes through costs nothing here unless its grants are recorded: denials are seen where errors are answered, and
handlers are wrapped only for commands that are listed.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from broker.audit import Act, Decision, Witness
from broker.caller import Actor, ActorKind, Caller
from broker.channels import ChannelRules, UnknownNamespace, namespace_of
from gateway.auth.errors import TokenError
from gateway.callers import caller_of
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.session.client import Client
from gateway.session.session import Handler

__all__ = ["CommandAudit"]

_DENIALS: Final = frozenset({errors.PERMISSION_DENIED.code, errors.UNAUTHORIZED.code})
_DENYING: Final = frozenset({disconnects.INVALID_TOKEN.code, disconnects.PERMISSION_DENIED.code})
# Tells the rule that granted a command of a client, about a channel or none.
RuleOf = Callable[[str, Client, str], str]
_ORIGINS: Final = "client.allowed_origins"


class CommandAudit:
    """Tells a witness of a node's clients; nobody where there is none."""

    def __init__(self, witness: Witness | None, rules: ChannelRules) -> None:
        self._witness, self._rules = witness, rules

    def failed(self, client: Client, kind: str, request: Any, exc: Exception) -> None:
        """Take note of a command that failed, if it was denied: for want of a right, or by a token that is not believed."""
        if self._witness is None:
            return
        match exc:
            case ClientError():
                is_denied = exc.error.code in _DENIALS or bool(exc.rule)
            case DisconnectClient():
                is_denied = exc.disconnect.code in _DENYING or bool(exc.rule)
            case _:
                is_denied = False
        if is_denied:
            rule = _rule(exc) or self._section(request)
            self._witness.record(_act(client, kind, request, Decision.DENIED, rule), by=caller_of(client))

    def origin_refused(self, address: str, origin: str) -> None:
        """Take note of a page that must not connect."""
        if self._witness is None:
            return
        act = Act("client.connect", decision=Decision.DENIED, rule=_ORIGINS, details={"origin": origin})
        self._witness.record(act, by=Caller(Actor(ActorKind.UNKNOWN), address, "websocket"))

    def watch(
        self, handlers: Mapping[str, Handler], grants: Collection[str], rule_of: RuleOf | None = None
    ) -> Mapping[str, Handler]:
        """Have the grants of some commands recorded; `rule_of` tells what granted them."""
        witness = self._witness
        if witness is None:
            return handlers
        return {kind: _watched(witness, kind, one, rule_of) if kind in grants else one for kind, one in handlers.items()}

    def _section(self, request: Any) -> str:
        """Tell the settings that did not allow it: those of the channel, where there is one."""
        channel = getattr(request, "channel", "")
        if not channel:
            return "default"
        try:
            self._rules.options(channel)
        except UnknownNamespace:
            return "default"
        namespace = namespace_of(channel)
        return f"channel.namespaces[{namespace}]" if namespace else "channel.without_namespace"


def _watched(witness: Witness, kind: str, handler: Handler, rule_of: RuleOf | None) -> Handler:
    async def watched(client: Client, request: Any, answer: Any) -> None:
        await handler(client, request, answer)
        rule = "" if rule_of is None else rule_of(kind, client, getattr(request, "channel", ""))
        witness.record(_act(client, kind, request, Decision.GRANTED, rule), by=caller_of(client))

    return watched


def _act(client: Client, kind: str, request: Any, decision: Decision, rule: str) -> Act:
    if kind == "connect":
        return Act("client.connect", user=client.user, decision=decision, rule=rule)
    if kind == "rpc":
        return Act("rpc.call", f"method:{request.method}", client.user, decision, rule)
    channel = getattr(request, "channel", "")
    return Act(f"channel.{kind}", f"channel:{channel}" if channel else "", client.user, decision, rule)


def _rule(exc: Exception) -> str:
    """Tell what decided: as whoever refused says it, else which check a token failed; empty where neither is told."""
    told: str = getattr(exc, "rule", "")
    cause = exc.__cause__ or exc.__context__
    if not told and isinstance(cause, TokenError):
        return f"token: {cause}"
    return told
