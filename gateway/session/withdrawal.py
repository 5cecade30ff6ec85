"""What becomes of subscriptions when a refresh gives a connection other capabilities."""

from broker.channels import ChannelRules
from gateway.auth.capabilities import Capabilities
from gateway.auth.permissions import Permissions
from gateway.protocol import disconnects
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.tasks import Tasks

__all__ = ["Withdrawal"]


class Withdrawal:
    """Ends what was lent by capabilities that a connection has no more."""

    def __init__(self, permissions: Permissions, rules: ChannelRules, entrances: Entrances, tasks: Tasks) -> None:
        self._permissions, self._rules, self._entrances, self._tasks = permissions, rules, entrances, tasks

    def replace(self, client: Client, capabilities: Capabilities | None) -> None:
        """Give a client these capabilities in place of those that it had.

        Subscriptions that would not be what they are without a right that is gone end with 2502, so that SDKs subscribe
        once more and are judged anew: they come back with less, or are refused by name.
        """
        if capabilities is None and client.capabilities is None:
            return
        client.capabilities = capabilities
        for channel, subscription in tuple(client.subscriptions.items()):
            lent = subscription.grant.lent
            if not lent or lent in self._permissions.rights(
                capabilities, client.user, channel, self._rules.options(channel), self._rules
            ):
                continue
            if (left := self._entrances.take_out(client, channel, disconnects.UNSUBSCRIBED_STATE_INVALIDATED)) is not None:
                self._tasks.run(self._entrances.clean_up(client, left), "capability.withdraw")
