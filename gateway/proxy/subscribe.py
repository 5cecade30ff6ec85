"""The event `subscribe`: the backend decides who enters a channel without a token, and with what."""

from config.clock import Clock
from gateway.auth.capabilities import Right
from gateway.auth.tokens import ServerSubscription
from gateway.protocol.messages import SubscribeRequest
from gateway.proxy.backend import Backend
from gateway.proxy.grants import allowed_of, subscription_of
from gateway.proxy.messages import SubscribeCall, SubscribeGrant
from gateway.proxy.verdict import judge
from gateway.session.client import Client

__all__ = ["SubscribeProxy"]


class SubscribeProxy:
    """Asks whether a client may subscribe."""

    def __init__(self, backend: Backend[SubscribeGrant], clock: Clock) -> None:
        self._backend, self._clock = backend, clock

    async def __call__(self, client: Client, request: SubscribeRequest) -> tuple[ServerSubscription, Right]:
        """Ask; what comes back without a refusal is a yes.

        Returns:
            What the subscription gets, and the rights in its channel that come with it (`allow`), for as long as it lasts.
        Raises:
            ClientError, DisconnectClient: It says no; 3506 where its payload does not fit the client's encoding.
            BackendFailed: It says nothing of use.
        """
        data, b64data = self._backend.pack(request.data)
        call = SubscribeCall(**self._backend.identity(client), channel=request.channel, data=data, b64data=b64data)
        grant = judge(await self._backend.ask(client, call)) or SubscribeGrant()
        return subscription_of(grant, client, self._clock), allowed_of(grant.allow)
