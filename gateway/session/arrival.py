"""What a client's coming and going means for the node: its limits, its indexes, its duties."""

from broker.control import Control, Disconnect, Selector
from broker.presence import UserPresence
from config.clock import Clock
from config.settings import ClientSettings
from gateway.hub import Hub
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.session.best_effort import BestEffort
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.expiry import Expiry
from gateway.session.states import Event
from gateway.session.subscription import Subscription
from gateway.shared_rate import SharedRate
from gateway.tasks import Tasks
from gateway.wheel import PingRing

__all__ = ["Arrival"]


class Arrival:
    """Lets clients in and sees them out."""

    def __init__(
        self,
        settings: ClientSettings,
        hub: Hub,
        users: UserPresence,
        control: Control,
        entrances: Entrances,
        expiry: Expiry,
        pings: PingRing | None,
        tasks: Tasks,
        clock: Clock,
        rate: SharedRate | None = None,
    ) -> None:
        self._settings, self._hub, self._users, self._control = settings, hub, users, control
        self._entrances, self._expiry, self._pings = entrances, expiry, pings
        self._tasks, self._clock, self._rate = tasks, clock, rate
        self._best_effort = BestEffort()

    def check_limits(self, user: str) -> None:
        """See whether a user may open one more connection here.

        Raises:
            DisconnectClient: 3504.
        """
        limit = self._settings.user_connection_limit
        if user and limit and self._hub.connections_of(user) >= limit:
            raise DisconnectClient(disconnects.CONNECTION_LIMIT)

    def count(self, user: str) -> None:
        """Count a connect of a user.

        Raises:
            ClientError: 111, they come too often.
        """
        if user and self._rate is not None and self._rate.spend(user):
            raise ClientError(errors.TOO_MANY_REQUESTS)

    async def register(self, client: Client) -> None:
        """Tell the fleet that the user is connected; before the reply, so that whoever has it can be found.

        Raises:
            EngineUnavailable: It is unknown whether the fleet knows.
        """
        if not client.user:
            return
        await self._users.connected(client.user, client.id)
        if self._keeps_newest_only:
            # Before it is let in, so that two that come to different nodes at once hardly ever drive each other out.
            reason = disconnects.CONNECTION_LIMIT
            await self._control.send(Disconnect(Selector(client.user), reason.code, reason.reason, (client.id,)))

    async def unregister(self, client: Client) -> None:
        """Take that back."""
        if client.user:
            await self._best_effort(self._users.disconnected(client.user, client.id))

    def admit(self, client: Client) -> None:
        """Make it one of the node's clients. Synchronous, right before its reply."""
        client.move(Event.ACCEPTED)
        client.connected_at = self._clock.monotonic()
        older = self._hub.find(client.user) if client.user and self._keeps_newest_only else []
        self._hub.add(client)
        for other in older:
            other.disconnect(disconnects.CONNECTION_LIMIT)

    def watch(self, client: Client) -> None:
        """Begin its periodic duties, after its reply."""
        if self._pings is not None:
            client.ping_slot = self._pings.add(client)
        self._expiry.begin_connection(client)

    def see_out(self, client: Client) -> None:
        """Take a client out of everything, at once; telling the others may take longer."""
        if client.ping_slot >= 0 and self._pings is not None:
            self._pings.discard(client, client.ping_slot)
            client.ping_slot = -1
        self._expiry.forget(client)
        was_in = client.connected_at > 0
        held = self._entrances.leave_all(client)
        if held or (was_in and client.user):
            self._tasks.run(self._clean_up(client, held, was_in), "client.clean_up")

    @property
    def _keeps_newest_only(self) -> bool:
        """Whether only the newest connection of a user stays."""
        return self._settings.subscribe_to_user_personal_channel.single_connection

    async def _clean_up(self, client: Client, held: list[Subscription], was_in: bool) -> None:
        if was_in:
            await self.unregister(client)
        for subscription in held:
            await self._entrances.clean_up(client, subscription)
