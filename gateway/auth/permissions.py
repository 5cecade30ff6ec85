"""Who may do what in a channel: pure functions over the channel's options and the client's standing."""

import msgspec

from broker.channels import ChannelRules, users_of
from config.settings import ChannelOptions
from gateway.auth.capabilities import NO_RIGHTS, Capabilities, Right
from gateway.session.client import Client
from gateway.session.subscription import Source

__all__ = ["Permissions"]


class Permissions(msgspec.Struct, frozen=True):
    """The rules of a node; `insecure` lets everything pass that is switched on at all."""

    insecure: bool

    def may_subscribe(self, user: str, options: ChannelOptions) -> bool:
        """Judge a subscription without token and proxy, of a channel that is not limited to users."""
        if self.insecure:
            return True
        return options.allow_subscribe_for_client and (bool(user) or options.allow_subscribe_for_anonymous)

    def is_limited_to(self, user: str, channel: str, options: ChannelOptions) -> bool | None:
        """Tell whether a channel is limited to users of whom this is one; None where it is limited to none."""
        if not options.allow_user_limited_channels:
            return None
        users = users_of(channel)
        return None if users is None else bool(user) and user in users

    def right_to_enter(
        self,
        user: str,
        channel: str,
        options: ChannelOptions,
        rules: ChannelRules,
        capabilities: Capabilities | None = None,
    ) -> Source | None:
        """Tell by what right a client enters a channel on its own word, without token and proxy; None for by none."""
        is_listed = self.is_limited_to(user, channel, options)
        if is_listed:
            return Source.USER_LIMITED
        if self.insecure:
            return Source.INSECURE
        # What the system tells one user is not among the channels that anybody may enter.
        is_open = is_listed is None and not rules.is_personal_of_another(channel, user)
        if is_open and self.may_subscribe(user, options):
            return Source.CLIENT_ALLOWED
        # Asked last: a capability may be withdrawn, and then nobody should have to leave who would get in without it.
        if Right.SUB in self.rights(capabilities, user, channel, options, rules):
            return Source.CAPABILITY
        return None

    def rights(
        self, capabilities: Capabilities | None, user: str, channel: str, options: ChannelOptions, rules: ChannelRules
    ) -> Right:
        """Tell what a connection's capabilities add in a channel."""
        if capabilities is None:
            return NO_RIGHTS
        is_foreign = self.is_limited_to(user, channel, options) is False or rules.is_personal_of_another(channel, user)
        return capabilities.rights(channel, is_foreign=is_foreign)

    def has(self, right: Right, client: Client, channel: str, options: ChannelOptions, rules: ChannelRules) -> bool:
        """Tell whether a client has a right in a channel of its own: by its subscription, or by its capabilities."""
        subscription = client.subscriptions.get(channel)
        if subscription is not None and right in subscription.allowed:
            return True
        return client.capabilities is not None and right in self.rights(
            client.capabilities, client.user, channel, options, rules
        )

    def may_publish(self, user: str, is_subscribed: bool, options: ChannelOptions) -> bool:
        """Judge a client's publish."""
        return self._may(
            user,
            is_subscribed,
            options.allow_publish_for_client,
            options.allow_publish_for_subscriber,
            options.allow_publish_for_anonymous,
        )

    def may_see_presence(self, user: str, is_subscribed: bool, options: ChannelOptions) -> bool:
        """Judge a question for presence, where presence is on."""
        return self._may(
            user,
            is_subscribed,
            options.allow_presence_for_client,
            options.allow_presence_for_subscriber,
            options.allow_presence_for_anonymous,
        )

    def may_read_history(self, user: str, is_subscribed: bool, options: ChannelOptions) -> bool:
        """Judge a question for history, where history is on."""
        return self._may(
            user,
            is_subscribed,
            options.allow_history_for_client,
            options.allow_history_for_subscriber,
            options.allow_history_for_anonymous,
        )

    def _may(self, user: str, is_subscribed: bool, for_client: bool, for_subscriber: bool, for_anonymous: bool) -> bool:
        if self.insecure:
            return True
        # The anonymous flag alone grants nothing: it only lets the anonymous user use the other two.
        return (for_client or (for_subscriber and is_subscribed)) and (bool(user) or for_anonymous)
