"""What becomes of subscriptions when a connection has other rights than before: by a refresh, or since its roles changed."""

import asyncio
from typing import Final

from broker.channels import ChannelRules
from gateway.auth.access import Access
from gateway.auth.capabilities import Capabilities
from gateway.auth.roles import Standing
from gateway.auth.tokens import ConnectionClaims
from gateway.hub import Hub
from gateway.protocol import disconnects
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.tasks import Tasks

__all__ = ["Withdrawal"]

# After so many connections and subscriptions other work gets its turn: 3 ms, where each is judged by a rule anew.
_SLICE: Final = 200


class Withdrawal:
    """Gives connections their rights, and ends what was lent by those that they have no more."""

    def __init__(self, access: Access, rules: ChannelRules, entrances: Entrances, tasks: Tasks) -> None:
        self._access, self._rules = access, rules
        self._permissions, self._roles = access.permissions, access.roles
        self._entrances, self._tasks = entrances, tasks

    def begin(self, client: Client, claims: ConnectionClaims) -> None:
        """Give a client that connects the rights that it brings along and has by its roles."""
        self._note(client, claims)
        self.look_again(client, claims)

    def look_again(self, client: Client, claims: ConnectionClaims) -> None:
        """Give a client that connects what its roles say by now: while it waits, nobody else looks at it."""
        client.capabilities = self._capabilities(client, claims.capabilities)

    def renew(self, client: Client, claims: ConnectionClaims) -> None:
        """Give a client what its new token says, in place of what it had."""
        self._note(client, claims)
        self._put(client, self._capabilities(client, claims.capabilities))

    def replace(self, client: Client, brought: Capabilities | None) -> None:
        """Give a client other capabilities of its own in place of those that it brought; its roles stay."""
        if client.standing is not None:
            client.standing = Standing(client.standing.claimed, brought, client.standing.claims)
        self._put(client, self._capabilities(client, brought))

    async def reconsider(self, hub: Hub) -> None:
        """Look at every client again, for roles, policies or the hour have changed."""
        looked_at = 0
        for client in hub.clients():
            if client.is_connected:
                # Without a standing there were no roles: whatever it has, it brought along.
                brought = client.capabilities if client.standing is None else client.standing.brought
                self._put(client, self._capabilities(client, brought))
                self._end_forbidden(client)
            looked_at += 1 + len(client.subscriptions)
            if looked_at >= _SLICE:
                looked_at = 0
                await asyncio.sleep(0)

    def _end_forbidden(self, client: Client) -> None:
        for channel, subscription in tuple(client.subscriptions.items()):
            if not self._access.keeps(client, channel, subscription.grant.source, self._rules.options(channel)):
                self._end(client, channel, "policy.withdraw")

    def _note(self, client: Client, claims: ConnectionClaims) -> None:
        client.standing = Standing(claims.roles, claims.capabilities, claims.kept) if claims.roles or claims.kept else None

    def _capabilities(self, client: Client, brought: Capabilities | None) -> Capabilities | None:
        if self._roles.is_empty:
            return brought
        standing = client.standing or Standing(brought=brought)
        capabilities = self._roles.capabilities(client.user, standing)
        if capabilities is not brought and client.standing is None:
            client.standing = standing
        return capabilities

    def _put(self, client: Client, capabilities: Capabilities | None) -> None:
        """Put capabilities in place of those that a client had.

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
            self._end(client, channel, "capability.withdraw")

    def _end(self, client: Client, channel: str, why: str) -> None:
        if (left := self._entrances.take_out(client, channel, disconnects.UNSUBSCRIBED_STATE_INVALIDATED)) is not None:
            self._tasks.run(self._entrances.clean_up(client, left), why)
