"""What a client may do: the one place where that is decided, in this order.

1. What the settings, a token, a backend's answer, the connection's capabilities and its roles say together; of these each only
   ever adds (`permissions.py`, `capabilities.py`, `roles.py`).
2. Policies, where there are any: a rule that denies wins over everything; then one that allows wins over a refusal; where none
   has anything to say it stays as it was.

Without policies the second step is one comparison, and the first gives values that stand ready: nothing is made for a decision.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from broker.channels import ChannelRules
from config.settings import ChannelOptions
from gateway.auth.capabilities import NO_RIGHTS, Right
from gateway.auth.decision import ALLOWED, DEFAULT_DENIAL, Decision
from gateway.auth.denials import Denials
from gateway.auth.grants import NO_WORD
from gateway.auth.permissions import Permissions
from gateway.auth.roles import RoleBook
from gateway.callers import caller_of
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.session.client import Client
from gateway.session.subscription import Source

__all__ = ["BY_PROXY", "BY_TOKEN", "Access", "Policies"]

BY_TOKEN: Final = Decision(True, "token")
BY_PROXY: Final = Decision(True, "proxy")
_BY_OPTION: Final = Decision(True, "option")
_BY_CAPABILITY: Final = Decision(True, "capability")
# What is decided where policies are not asked.
_UNJUDGED: Final[Mapping[Source | None, tuple[Source | None, Decision]]] = {
    Source.USER_LIMITED: (Source.USER_LIMITED, Decision(True, "user_limited")),
    Source.INSECURE: (Source.INSECURE, Decision(True, "insecure")),
    Source.CLIENT_ALLOWED: (Source.CLIENT_ALLOWED, _BY_OPTION),
    Source.CAPABILITY: (Source.CAPABILITY, _BY_CAPABILITY),
    None: (None, DEFAULT_DENIAL),
}
_PRIVATE: Final = "$"
_CHANNEL_COMMANDS: Final = {
    "publish": ("publish", Right.PUB),
    "presence": ("presence", Right.PRS),
    "presence_stats": ("presence", Right.PRS),
    "history": ("history", Right.HST),
}


class Policies(Protocol):
    """What policies are asked."""

    def judge(self, base: Decision, action: str, client: Client, name: str) -> Decision:
        """Decide about an action of a client, `base` being what everything else says; `name` is that of the channel or method,
        empty for `connect`. Never raises and never waits."""


class Access:
    """Decides for one node."""

    def __init__(self, permissions: Permissions, rules: ChannelRules, roles: RoleBook, denials: Denials) -> None:
        self.permissions, self.roles, self.denials = permissions, roles, denials
        self._rules = rules
        self.policies: Policies | None = None

    def connect(self, client: Client) -> None:
        """Let a client in that has shown who it is.

        Raises:
            ClientError: 103, where a policy forbids it.
        """
        if self.policies is not None:
            self._require(self.policies.judge(ALLOWED, "connect", client, ""), client, "client.connect", "")

    def publish(self, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Decide about a publication that no backend decides about."""
        permissions = self.permissions
        if permissions.may_publish(client.user, channel in client.subscriptions, options):
            decision = _BY_OPTION
        elif permissions.has(Right.PUB, client, channel, options, self._rules):
            decision = _BY_CAPABILITY
        else:
            decision = DEFAULT_DENIAL
        return decision if self.policies is None else self._judge(decision, "publish", client, channel, options)

    def presence(self, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Decide about a question for presence, where presence is on."""
        permissions = self.permissions
        if permissions.may_see_presence(client.user, channel in client.subscriptions, options):
            decision = _BY_OPTION
        elif permissions.has(Right.PRS, client, channel, options, self._rules):
            decision = _BY_CAPABILITY
        else:
            decision = DEFAULT_DENIAL
        return decision if self.policies is None else self._judge(decision, "presence", client, channel, options)

    def history(self, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Decide about a question for history, where history is on."""
        permissions = self.permissions
        if permissions.may_read_history(client.user, channel in client.subscriptions, options):
            decision = _BY_OPTION
        elif permissions.has(Right.HST, client, channel, options, self._rules):
            decision = _BY_CAPABILITY
        else:
            decision = DEFAULT_DENIAL
        return decision if self.policies is None else self._judge(decision, "history", client, channel, options)

    def source(self, client: Client, channel: str, options: ChannelOptions) -> tuple[Source | None, Decision]:
        """Decide about a subscription on a client's own word, without token and backend; tells also what gives the right."""
        source = self.permissions.right_to_enter(client.user, channel, options, self._rules, client.capabilities)
        if self.policies is None:
            return _UNJUDGED[source]
        base = _UNJUDGED[source][1]
        decision = self._judge(base, "subscribe", client, channel, options)
        if not decision.allowed:
            return None, decision
        return (Source.POLICY if source is None else source), decision

    def enter(self, client: Client, channel: str, options: ChannelOptions) -> Source:
        """Tell what gives a client a subscription on its own word.

        Raises:
            ClientError: 103, where nothing does.
        """
        source, decision = self.source(client, channel, options)
        if source is None:
            raise self._refusal(decision, client, "channel.subscribe", f"channel:{channel}")
        return source

    def subscribe(self, base: Decision, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Decide about a subscription that a token gives, or that a backend will be asked about."""
        return base if self.policies is None else self._judge(base, "subscribe", client, channel, options)

    def publish_by_proxy(self, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Decide whether a backend is asked about a publication."""
        return BY_PROXY if self.policies is None else self._judge(BY_PROXY, "publish", client, channel, options)

    def reading(self, client: Client, channel: str, options: ChannelOptions) -> tuple[Right, Right]:
        """Tell what policies say about reading along with a subscription: rights that they add, and that they withhold."""
        if self.policies is None:
            return NO_WORD
        added = withheld = NO_RIGHTS
        for right, action in ((Right.HST, "history"), (Right.PRS, "presence")):
            if self._judge(DEFAULT_DENIAL, action, client, channel, options).allowed:
                added |= right
            elif not self._judge(ALLOWED, action, client, channel, options).allowed:
                withheld |= right
        return added, withheld

    def keeps(self, client: Client, channel: str, source: Source, options: ChannelOptions) -> bool:
        """Tell whether policies leave a client a subscription that it has; those that the server gave it stay."""
        if source in (Source.PERSONAL, Source.SERVER_API):
            return True
        base = DEFAULT_DENIAL if source is Source.POLICY else BY_TOKEN
        if self.policies is None:
            return base.allowed
        return self._judge(base, "subscribe", client, channel, options).allowed

    def rpc(self, client: Client, method: str, *, needs_permission: bool) -> Decision:
        """Decide about a call of an RPC method."""
        decision = ALLOWED
        if needs_permission:
            claimed = () if client.standing is None else client.standing.claimed
            decision = self.roles.decide("rpc", method, self.roles.roles_of(client.user, claimed)) or DEFAULT_DENIAL
        return decision if self.policies is None else self.policies.judge(decision, "rpc", client, method)

    def require(self, decision: Decision, client: Client, action: str, channel: str) -> None:
        """Insist on a decision about a channel.

        Raises:
            ClientError: 103, and the operator is told which rule decided.
        """
        if not decision.allowed:
            raise self._refusal(decision, client, f"channel.{action}", f"channel:{channel}")

    def require_rpc(self, decision: Decision, client: Client, method: str) -> None:
        """Insist on a decision about an RPC method.

        Raises:
            ClientError: 103, as above.
        """
        self._require(decision, client, "rpc.call", f"method:{method}")

    def rule_of(self, kind: str, client: Client, channel: str) -> str:
        """Name the rule that granted a command, the role too where a right came from one; for the audit, after the fact."""
        if kind == "subscribe":
            subscription = client.subscriptions.get(channel)
            return "" if subscription is None else subscription.grant.source.name.lower()
        if (found := _CHANNEL_COMMANDS.get(kind)) is None:
            return ""
        name, right = found
        options = self._rules.options(channel)
        decision: Decision = getattr(self, name)(client, channel, options)
        if decision is not _BY_CAPABILITY or client.standing is None:
            return decision.rule if decision.allowed else ""
        roles = self.roles.roles_of(client.user, client.standing.claimed)
        is_foreign = self.permissions.is_limited_to(client.user, channel, options) is False
        role = self.roles.role_with_right(right, channel, client.user, roles, is_foreign=is_foreign)
        return decision.rule if role is None else f"role:{role}"

    def _judge(self, base: Decision, action: str, client: Client, channel: str, options: ChannelOptions) -> Decision:
        """Ask the policies; what they allow stays within what is closed to whoever speaks of channels in general."""
        assert self.policies is not None
        decision = self.policies.judge(base, action, client, channel)
        if decision.allowed and not base.allowed and self._is_closed(action, client.user, channel, options):
            return base
        return decision

    def _is_closed(self, action: str, user: str, channel: str, options: ChannelOptions) -> bool:
        if action == "subscribe" and channel.startswith(_PRIVATE):
            return True
        is_others = self.permissions.is_limited_to(user, channel, options) is False
        return is_others or self._rules.is_personal_of_another(channel, user)

    def _require(self, decision: Decision, client: Client, action: str, resource: str) -> None:
        if not decision.allowed:
            raise self._refusal(decision, client, action, resource)

    def _refusal(self, decision: Decision, client: Client, action: str, resource: str) -> ClientError:
        self.denials.note(decision, action, resource, caller_of(client))
        # The audit names the settings where nothing in particular decided.
        return ClientError(errors.PERMISSION_DENIED, rule="" if decision is DEFAULT_DENIAL else decision.rule)
