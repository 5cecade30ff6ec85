"""What ends by itself: connections that never connect, and connections and subscriptions whose time is over.

Deadlines are entries on the node's wheel; whoever is called looks whether its reason still holds, so a refresh takes
nothing back.
"""

from config.clock import Clock
from config.settings import ClientSettings
from gateway.protocol import disconnects
from gateway.protocol.messages import Push, UnsubscribePush
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.states import State
from gateway.session.subscription import Subscription
from gateway.tasks import Tasks
from gateway.wheel import Wheel

__all__ = ["Expiry"]


class Expiry:
    """Sets deadlines and acts on them."""

    def __init__(self, settings: ClientSettings, wheel: Wheel, entrances: Entrances, tasks: Tasks, clock: Clock) -> None:
        self._settings, self._wheel, self._entrances = settings, wheel, entrances
        self._tasks, self._clock = tasks, clock

    def watch_connecting(self, client: Client) -> None:
        """Give a new connection its time to connect (3502)."""
        self._wheel.after(self._settings.stale_close_delay, self._end_stale, client)

    def watch_connection(self, client: Client) -> None:
        """Watch a connection that expires; to be called again when it was prolonged."""
        if client.expire_at > 0:
            self._after(client.expire_at, self._settings.expired_close_delay, self._end_expired, client)

    def watch_subscription(self, client: Client, subscription: Subscription) -> None:
        """Watch a subscription that expires; to be called again when it was prolonged."""
        if subscription.expire_at > 0:
            grace_s = self._settings.expired_sub_close_delay
            self._after(subscription.expire_at, grace_s, self._end_subscription, client, subscription)

    def _after(self, expire_at: int, grace_s: float, call: object, *args: object) -> None:
        delay_s = max(0.0, expire_at + grace_s - self._clock.now().timestamp())
        self._wheel.after(delay_s, call, *args)  # type: ignore[arg-type]  # one of the three below

    def _is_over(self, expire_at: int, grace_s: float) -> bool:
        return expire_at > 0 and expire_at + grace_s <= self._clock.now().timestamp()

    def _end_stale(self, client: Client) -> None:
        if client.state in (State.CONNECTING, State.REFUSED):
            client.disconnect(disconnects.STALE)

    def _end_expired(self, client: Client) -> None:
        if self._is_over(client.expire_at, self._settings.expired_close_delay):
            client.disconnect(disconnects.EXPIRED)

    def _end_subscription(self, client: Client, subscription: Subscription) -> None:
        is_current = client.subscriptions.get(subscription.channel) is subscription
        if not is_current or not self._is_over(subscription.expire_at, self._settings.expired_sub_close_delay):
            return
        if subscription.is_server_side:
            client.disconnect(disconnects.SUBSCRIPTION_EXPIRED)
        else:
            self.expire_subscription(client, subscription)

    def expire_subscription(self, client: Client, subscription: Subscription) -> None:
        """Take a client out of a channel whose time is over (push 2501); its SDK comes back with a new token."""
        reason = disconnects.UNSUBSCRIBED_EXPIRED
        push = UnsubscribePush(reason.code, reason.reason)
        self._tasks.run(self._leave(client, subscription.channel), "subscription.expire")
        client.push(Push(channel=subscription.channel, unsubscribe=push))

    async def _leave(self, client: Client, channel: str) -> None:
        await self._entrances.leave(client, channel)
