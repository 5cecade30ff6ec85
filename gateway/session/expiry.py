"""What ends by itself: connections that never connect, and connections and subscriptions whose time is over.

Each has at most one live note on the node's wheel, which lets go of it when it leaves. A refresh moves no note: the one
that comes finds the new time and is made again.

Where the application's backend renews, it is asked at the expiry itself, and there is no grace: it decides. One that does
not answer ends nothing: what it was asked about goes on for a while, and then it is asked again.
"""

import functools
import math
from collections.abc import Callable
from typing import Final

from broker.channels import ChannelRules
from config.clock import Clock
from config.settings import ClientSettings
from gateway.protocol import disconnects
from gateway.proxy.proxies import Proxies
from gateway.proxy.refresh import Lapse, RefreshProxy, Renewed, SubRefreshProxy
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.states import State
from gateway.session.subscription import Subscription
from gateway.session.withdrawal import Withdrawal
from gateway.tasks import Tasks
from gateway.wheel import Note, Wheel

__all__ = ["Expiry"]

# How long something goes on whose renewal nobody could answer for.
_PROLONGED_S: Final = 60.0
_NOTED_AHEAD_S: Final = 600.0


class Expiry:
    """Sets deadlines and acts on them."""

    def __init__(
        self,
        settings: ClientSettings,
        wheel: Wheel,
        entrances: Entrances,
        rules: ChannelRules,
        proxies: Proxies,
        withdrawal: Withdrawal,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._settings, self._wheel, self._entrances = settings, wheel, entrances
        self._rules, self._proxies, self._tasks, self._clock = rules, proxies, tasks, clock
        self._withdrawal = withdrawal

    @property
    def renews_connections(self) -> bool:
        """Whether the backend prolongs connections, so that clients need not."""
        return self._proxies.refresh is not None

    def renews_subscriptions_of(self, channel: str) -> bool:
        """Whether the backend prolongs subscriptions to a channel."""
        return self._proxies.sub_refresh(self._rules.options(channel)) is not None

    def watch_connecting(self, client: Client) -> None:
        """Give a new connection its time to connect (3502)."""
        call = functools.partial(self._end_stale, client)
        client.expiry_note = self._wheel.note(self._settings.stale_close_delay, call)

    def watch_connection(self, client: Client) -> None:
        """Watch a connection that was accepted or prolonged."""
        if client.expire_at > 0:
            delay_s = self._delay_s(client.expire_at, self._connection_grace_s)
            call = functools.partial(self._end_expired, client)
            client.expiry_note = self._note(client.expiry_note, delay_s, call)

    def begin_connection(self, client: Client) -> None:
        """Begin to watch a connection that was accepted; it need not connect any more."""
        self.forget(client)
        self.watch_connection(client)

    def watch_subscription(self, client: Client, subscription: Subscription) -> None:
        """Watch a subscription that expires; to be called again when it was prolonged."""
        if subscription.expire_at > 0:
            delay_s = self._delay_s(subscription.expire_at, self._subscription_grace_s(subscription))
            call = functools.partial(self._end_subscription, client, subscription)
            subscription.expiry_note = self._note(subscription.expiry_note, delay_s, call)

    def forget(self, client: Client) -> None:
        """Let go of a client: nothing may hold it until a deadline that is perhaps months away."""
        if client.expiry_note is not None:
            client.expiry_note.drop()
            client.expiry_note = None

    def _note(self, note: Note | None, delay_s: float, call: Callable[[], None]) -> Note:
        """Keep a note that comes early enough (it then notes itself again), else replace it: there is one at a time."""
        if note is not None:
            if note.deadline <= self._clock.monotonic() + delay_s:
                return note
            note.drop()
        # A dropped note stays on the wheel until its tick, empty; the far ones of all who came and went would add up.
        return self._wheel.note(min(delay_s, _NOTED_AHEAD_S), call)

    @property
    def _connection_grace_s(self) -> float:
        return 0.0 if self.renews_connections else self._settings.expired_close_delay

    def _subscription_grace_s(self, subscription: Subscription) -> float:
        return 0.0 if self.renews_subscriptions_of(subscription.channel) else self._settings.expired_sub_close_delay

    def _delay_s(self, expire_at: int, grace_s: float) -> float:
        return max(0.0, expire_at + grace_s - self._clock.now().timestamp())

    def _is_over(self, expire_at: int, grace_s: float) -> bool:
        return expire_at > 0 and expire_at + grace_s <= self._clock.now().timestamp()

    def _end_stale(self, client: Client) -> None:
        client.expiry_note = None
        if client.state in (State.CONNECTING, State.REFUSED):
            client.disconnect(disconnects.STALE)

    def _end_expired(self, client: Client) -> None:
        client.expiry_note = None
        if not self._is_over(client.expire_at, self._connection_grace_s):
            self.watch_connection(client)  # it was prolonged, or the wall clock was set back
        elif self._proxies.refresh is not None:
            self._tasks.run(self._renew_connection(client, self._proxies.refresh), "connection.renew")
        else:
            client.disconnect(disconnects.EXPIRED)

    def _end_subscription(self, client: Client, subscription: Subscription) -> None:
        subscription.expiry_note = None
        if not self._is_over(subscription.expire_at, self._subscription_grace_s(subscription)):
            self.watch_subscription(client, subscription)
        elif (proxy := self._proxies.sub_refresh(self._rules.options(subscription.channel))) is not None:
            self._tasks.run(self._renew_subscription(client, subscription, proxy), "subscription.renew")
        else:
            self._give_up_subscription(client, subscription)

    async def _renew_connection(self, client: Client, proxy: RefreshProxy) -> None:
        asked_for = client.expire_at
        answer = await proxy(client)
        if not client.is_connected or client.expire_at != asked_for:
            return  # it left, or somebody else prolonged it meanwhile
        match answer:
            case Renewed():
                client.expire_at = answer.expire_at
                client.conn_info, client.meta = answer.info or client.conn_info, answer.meta or client.meta
                self.watch_connection(client)
                self._withdrawal.replace(client, answer.capabilities)
                if answer.info:
                    await self._entrances.renew_all(client)
            case Lapse.UNREACHABLE:
                client.expire_at = self._later()
                self.watch_connection(client)
            case Lapse.EXPIRED:
                client.disconnect(disconnects.EXPIRED)
            case Lapse.BROKEN:
                client.disconnect(disconnects.INTERNAL)

    async def _renew_subscription(self, client: Client, subscription: Subscription, proxy: SubRefreshProxy) -> None:
        asked_for = subscription.expire_at
        answer = await proxy(client, subscription.channel)
        if not _holds(client, subscription, asked_for):
            return
        match answer:
            case Renewed():
                subscription.expire_at = answer.expire_at
                subscription.chan_info = answer.info or subscription.chan_info
                self.watch_subscription(client, subscription)
                if answer.info:
                    await self._entrances.renew(client, subscription)
            case Lapse.UNREACHABLE:
                subscription.expire_at = self._later()
                self.watch_subscription(client, subscription)
            case Lapse.EXPIRED | Lapse.BROKEN:
                self._give_up_subscription(client, subscription)

    def _later(self) -> int:
        """Tell until when something goes on that nobody could answer for."""
        return math.ceil(self._clock.now().timestamp() + _PROLONGED_S)

    def _give_up_subscription(self, client: Client, subscription: Subscription) -> None:
        if subscription.is_server_side:
            client.disconnect(disconnects.SUBSCRIPTION_EXPIRED)
        else:
            self.expire_subscription(client, subscription)

    def expire_subscription(self, client: Client, subscription: Subscription) -> None:
        """Take a client out of a channel whose time is over (push 2501); its SDK comes back with a new token."""
        left = self._entrances.take_out(client, subscription.channel, disconnects.UNSUBSCRIBED_EXPIRED)
        if left is not None:
            self._tasks.run(self._entrances.clean_up(client, left), "subscription.expire")


def _holds(client: Client, subscription: Subscription, expire_at: int) -> bool:
    """Whether a subscription is still the client's, and still ends when it did."""
    is_current = client.is_connected and client.subscriptions.get(subscription.channel) is subscription
    return is_current and subscription.expire_at == expire_at
