"""The node's side of control: what the fleet's API wants done is done here, on this node's own connections."""

import math
from collections.abc import Callable, Mapping

from broker.channels import ChannelRules
from broker.control import Command, Disconnect, NodeInfo, Refresh, Subscribe, Unsubscribe
from broker.model import Position
from config.clock import Clock
from gateway.auth.grants import server_grant
from gateway.auth.tokens import SubscriptionOverride
from gateway.hub import Hub
from gateway.protocol import disconnects
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Push, RefreshPush, SubscribePush, UnsubscribePush, raw
from gateway.session.client import Client
from gateway.session.entrance import Asked, Entrances
from gateway.session.expiry import Expiry
from gateway.session.subscription import Source

__all__ = ["Controlled"]


class Controlled:
    """Plays `broker.control.Perform` for a node."""

    def __init__(
        self,
        hub: Hub,
        rules: ChannelRules,
        entrances: Entrances,
        expiry: Expiry,
        clock: Clock,
        describe: Callable[[], NodeInfo],
    ) -> None:
        self._hub, self._rules, self._entrances = hub, rules, entrances
        self._expiry, self._clock, self._describe = expiry, clock, describe

    async def perform(self, command: Command) -> None:
        """Carry it out on every matching connection here; none is no error."""
        who = command.who
        for client in self._hub.find(who.user, who.client, who.session):
            match command:
                case Subscribe():
                    await self._subscribe(client, command)
                case Unsubscribe():
                    await self._unsubscribe(client, command.channel)
                case Disconnect():
                    if client.id not in command.whitelist:
                        client.disconnect(disconnects.Disconnect(command.code, command.reason))
                case Refresh():
                    self._refresh(client, command)

    def describe(self) -> NodeInfo:
        """Tell how this node is."""
        return self._describe()

    def channels(self) -> Mapping[str, int]:
        """Tell this node's channels that have subscribers, with their number."""
        return self._hub.channels()

    async def _subscribe(self, client: Client, command: Subscribe) -> None:
        channel, entrances = command.channel, self._entrances
        if channel in client.subscriptions or channel in client.subscribing:
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

    async def _unsubscribe(self, client: Client, channel: str) -> None:
        if await self._entrances.leave(client, channel):
            reason = disconnects.UNSUBSCRIBED_BY_SERVER
            client.push(Push(channel=channel, unsubscribe=UnsubscribePush(reason.code, reason.reason)))

    def _refresh(self, client: Client, command: Refresh) -> None:
        now = self._clock.now().timestamp()
        if command.expired or 0 < command.expire_at <= now:
            client.disconnect(disconnects.EXPIRED)
            return
        client.expire_at = command.expire_at
        if command.info:
            client.conn_info = command.info
        ttl = math.ceil(command.expire_at - now) if command.expire_at else 0
        self._expiry.watch_connection(client)
        client.push(Push(refresh=RefreshPush(expires=ttl > 0, ttl=ttl)))
