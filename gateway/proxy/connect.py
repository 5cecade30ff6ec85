"""The event `connect`: the backend says who somebody without a token is."""

import msgspec

from config.clock import Clock
from gateway.auth.tokens import ConnectionClaims, ServerSubscription
from gateway.protocol.messages import ConnectRequest
from gateway.proxy.backend import Backend
from gateway.proxy.grants import capabilities_of, expiry_of, meta_of, subscription_of
from gateway.proxy.messages import ConnectCall, ConnectGrant, SubscriptionBody
from gateway.proxy.payloads import json_of, payload_for
from gateway.proxy.verdict import judge
from gateway.session.client import Client

__all__ = ["ConnectProxy", "Introduction"]

_PLAIN = SubscriptionBody()


class Introduction(msgspec.Struct, frozen=True):
    """Who connects, as a token would say it, and a payload for the connect result."""

    claims: ConnectionClaims
    data: bytes


class ConnectProxy:
    """Asks who connects."""

    def __init__(self, backend: Backend[ConnectGrant], clock: Clock) -> None:
        self._backend, self._clock = backend, clock

    async def __call__(self, client: Client, request: ConnectRequest) -> Introduction | None:
        """Ask; None where the backend knows nobody.

        Raises:
            ClientError, DisconnectClient: It says so; 3506 where its payload does not fit the client's encoding.
            BackendFailed: It says nothing of use.
        """
        data, b64data = self._backend.pack(request.data)
        call = ConnectCall(
            **self._backend.connection(client),
            data=data,
            b64data=b64data,
            name=request.name,
            version=request.version,
            channels=tuple(request.subs),
        )
        grant = judge(await self._backend.ask(client, call))
        if grant is None:
            return None
        claims = ConnectionClaims(
            user=grant.user or "",
            expire_at=expiry_of(grant.expire_at, self._clock),
            info=json_of(grant.info, grant.b64info),
            meta=meta_of(grant.meta),
            subs=self._subscriptions(client, grant),
            capabilities=capabilities_of(grant.caps),
        )
        return Introduction(claims, payload_for(client, grant.data, grant.b64data))

    def _subscriptions(self, client: Client, grant: ConnectGrant) -> dict[str, ServerSubscription]:
        bodies: dict[str, SubscriptionBody | None] = {**dict.fromkeys(grant.channels or ()), **(grant.subs or {})}
        return {channel: subscription_of(body or _PLAIN, client, self._clock) for channel, body in bodies.items()}
