"""The node's side of control: what the fleet's API wants done is done here, on this node's own connections."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from broker.channels import ChannelRules
from broker.control import (
    Command,
    ConnectionInfo,
    Disconnect,
    Distrust,
    Emulate,
    Forget,
    NodeInfo,
    Recheck,
    Refresh,
    RulesChanged,
    Shed,
    Subscribe,
    SubscriptionInfo,
    TokenInfo,
    Unsubscribe,
)
from broker.model import Position
from broker.revocation import Revocation
from config.clock import Clock
from gateway.auth.grants import server_grant
from gateway.auth.tokens import SubscriptionOverride
from gateway.hub import Hub
from gateway.protocol import disconnects
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Push, RefreshPush, SubscribePush, raw
from gateway.session.client import Client
from gateway.session.entrance import Asked, Entrances
from gateway.session.expiry import Expiry
from gateway.session.subscription import Source

__all__ = ["Controlled"]

_AboutConnections = Subscribe | Unsubscribe | Disconnect | Refresh | Distrust | Recheck

# After so many connections other work gets its turn.
_SLICE = 1000


class Controlled:
    """Plays `broker.control.Perform` for a node."""

    def __init__(
        self,
        hub: Hub,
        rules: ChannelRules,
        entrances: Entrances,
        expiry: Expiry,
        revocation: Revocation,
        clock: Clock,
        describe: Callable[[], NodeInfo],
        *,
        shed: Callable[[float, float], None],
        emulate: Callable[[str, bytes], None],
        channel_limit: int,
        rules_changed: Callable[[str, int], None] = lambda _subject, _version: None,
        forget: Callable[[Forget], None] = lambda _command: None,
    ) -> None:
        self._hub, self._rules, self._entrances = hub, rules, entrances
        self._expiry, self._revocation = expiry, revocation
        self._clock, self._describe = clock, describe
        self._shed, self._emulate, self._channel_limit = shed, emulate, channel_limit
        self._rules_changed, self._forget = rules_changed, forget

    async def perform(self, command: Command) -> None:
        """Carry it out on every matching connection here; none is no error.

        A connection that it fails on does not keep it from the others; the first failure is raised after them.
        """
        if isinstance(command, Shed | Emulate | RulesChanged | Forget):
            self._perform_here(command)
            return
        failures: list[Exception] = []
        for number, client in enumerate(self._matching(command), 1):
            try:
                await self._perform(client, command)
            except Exception as exc:  # the edge of one connection
                failures.append(exc)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        if failures:
            raise failures[0]

    def _perform_here(self, command: Shed | Emulate | RulesChanged | Forget) -> None:
        """Carry out what is meant for a node rather than for a user's connections."""
        if isinstance(command, Forget):
            self._forget(command)
            return
        if isinstance(command, RulesChanged):
            self._rules_changed(command.subject, command.version)
            return
        node = self._describe()
        if isinstance(command, Shed):
            if command.node in ("", node.uid, node.name):
                self._shed(command.share, command.spread_s)
        elif command.node == node.uid:
            try:
                self._emulate(command.session, command.data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass  # whoever posted it cannot be told any more

    def _matching(self, command: _AboutConnections) -> Iterable[Client]:
        if isinstance(command, Recheck):
            return self._hub.clients()
        if not isinstance(command, Distrust):
            return self._hub.find(command.who.user, command.who.client, command.who.session)
        # Nobody keeps who came by which token: revoking a single one is rare, and looks at everybody.
        return self._hub.clients() if command.token_id else self._hub.find(command.user)

    async def _perform(self, client: Client, command: _AboutConnections) -> None:
        match command:
            case Subscribe():
                await self._subscribe(client, command)
            case Unsubscribe():
                await self._unsubscribe(client, command.channel, disconnects.UNSUBSCRIBED_BY_SERVER)
            case Disconnect():
                if client.id not in command.whitelist:
                    client.disconnect(disconnects.Disconnect(command.code, command.reason))
            case Refresh():
                await self._refresh(client, command)
            case Distrust():
                await self._distrust(client, command)
            case Recheck():
                await self._recheck(client)

    def describe(self) -> NodeInfo:
        """Tell how this node is."""
        return self._describe()

    def channels(self) -> Mapping[str, int]:
        """Tell this node's channels that have subscribers, with their number."""
        return self._hub.channels()

    def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        """Tell a user's connections here, by client id."""
        began_at = self._clock.now().timestamp() - self._clock.monotonic()
        return {client.id: _connection(client, began_at) for client in self._hub.find(user)}

    async def _subscribe(self, client: Client, command: Subscribe) -> None:
        channel, entrances = command.channel, self._entrances
        if channel in client.subscriptions or channel in client.subscribing:
            return
        if len(client.subscriptions) + len(client.subscribing) >= self._channel_limit:
            client.disconnect(disconnects.CHANNEL_LIMIT)
            return
        granted = server_grant(
            self._rules.options(channel),
            Source.SERVER_API,
            info=command.info,
            data=command.data,
            expire_at=command.expire_at,
            override=SubscriptionOverride(**command.override),
        )
        asked = Asked(Position(command.since_offset, command.since_epoch) if command.since_epoch else None)
        entrance = await entrances.prepare(client, channel, granted, asked)
        try:
            if not client.is_connected:
                raise DisconnectClient(disconnects.CLOSED)
            entry = entrances.settle(entrance)
        except DisconnectClient as exc:
            await entrances.give_up(entrance)
            client.disconnect(exc.disconnect)
            return
        except ClientError:
            await entrances.give_up(entrance)
            return
        except BaseException:
            await entrances.give_up(entrance)
            raise
        position = entry.recovery.position if entry.recovery else Position(0, "")
        push = SubscribePush(
            recoverable=granted.is_recoverable,
            epoch=position.epoch,
            offset=position.offset,
            positioned=granted.is_positioned,
            data=raw(granted.data),
        )
        client.push(Push(channel=channel, subscribe=push))
        subscription = entrances.take_place(entrance)
        self._expiry.watch_subscription(client, subscription)
        await entrances.announce(subscription, client)

    async def _unsubscribe(self, client: Client, channel: str, reason: disconnects.Unsubscribe) -> None:
        if (left := self._entrances.take_out(client, channel, reason)) is not None:
            await self._entrances.clean_up(client, left)

    async def _distrust(self, client: Client, command: Distrust) -> None:
        """End what a revoked token gave: the connection (3014), or only subscriptions (2502)."""
        if not command.channel and _is_revoked(client.token, command):
            client.disconnect(disconnects.STATE_INVALIDATED)
            return
        for channel, subscription in tuple(client.subscriptions.items()):
            if command.channel in ("", channel) and _is_revoked(subscription.token, command):
                await self._unsubscribe(client, channel, disconnects.UNSUBSCRIBED_STATE_INVALIDATED)

    async def _recheck(self, client: Client) -> None:
        """End what would not be let in now: the connection (3507 or 3014), or only subscriptions (2502)."""
        if self._revocation.is_blocked(client.user):
            client.disconnect(disconnects.PERMISSION_DENIED)
            return
        if self._is_refused(client.user, client.token):
            client.disconnect(disconnects.STATE_INVALIDATED)
            return
        for channel, subscription in tuple(client.subscriptions.items()):
            if self._is_refused(client.user, subscription.token, channel):
                await self._unsubscribe(client, channel, disconnects.UNSUBSCRIBED_STATE_INVALIDATED)

    def _is_refused(self, user: str, token: TokenInfo | None, channel: str = "") -> bool:
        return token is not None and self._revocation.is_revoked(
            user=user, token_id=token.uid, issued_at=token.issued_at, channel=channel
        )

    async def _refresh(self, client: Client, command: Refresh) -> None:
        now = self._clock.now().timestamp()
        if command.expired or (command.expire_at != 0 and command.expire_at <= now):
            client.disconnect(disconnects.EXPIRED)
            return
        client.expire_at = command.expire_at
        has_changed = bool(command.info) and command.info != client.conn_info
        if has_changed:
            client.conn_info = command.info
        ttl = math.ceil(command.expire_at - now) if command.expire_at else 0
        self._expiry.watch_connection(client)
        client.push(Push(refresh=RefreshPush(expires=ttl > 0, ttl=ttl)))
        if has_changed:
            await self._entrances.renew_all(client)


def _is_revoked(token: TokenInfo | None, command: Distrust) -> bool:
    if token is None:
        return False
    return token.uid == command.token_id if command.token_id else token.issued_at < command.issued_before


def _connection(client: Client, began_at: float) -> ConnectionInfo:
    """Describe a connection; `began_at` is the Unix second at which the clock's monotonic reading was 0."""
    return ConnectionInfo(
        user=client.user,
        app_name=client.name,
        app_version=client.version,
        transport=client.wire.transport_name,
        protocol=client.wire.codec.name,
        connected_at_ms=round((began_at + client.connected_at) * 1000),
        subscriptions={
            channel: SubscriptionInfo(subscription.grant.source, subscription.token)
            for channel, subscription in client.subscriptions.items()
        },
        token=client.token,
        meta=client.meta,
    )
