"""The commands `refresh` and `sub_refresh`: a new token for a connection or a subscription that is about to expire."""

from config.clock import Clock
from gateway.auth.errors import InvalidToken, TokenExpired
from gateway.auth.tokens import TokenVerifier, token_of
from gateway.commands.answer import Answer, require_channel, ttl_of
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import RefreshRequest, RefreshResult, SubRefreshRequest, SubRefreshResult
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.expiry import Expiry
from gateway.session.withdrawal import Withdrawal

__all__ = ["Refresh", "SubRefresh"]


class Refresh:
    """Prolong a connection."""

    def __init__(
        self,
        tokens: TokenVerifier,
        entrances: Entrances,
        expiry: Expiry,
        withdrawal: Withdrawal,
        clock: Clock,
        *,
        never_expires: bool,
    ) -> None:
        self._tokens, self._entrances, self._expiry, self._clock = tokens, entrances, expiry, clock
        self._withdrawal, self._never_expires = withdrawal, never_expires

    async def __call__(self, client: Client, request: RefreshRequest, answer: Answer) -> None:
        if not request.token or self._expiry.renews_connections:
            raise DisconnectClient(disconnects.BAD_REQUEST)
        await self._tokens.prepare(request.token)
        if not client.is_connected:
            raise DisconnectClient(disconnects.CLOSED)  # it left while its issuer's keys were fetched
        try:
            claims = self._tokens.connection(request.token)
        except TokenExpired:
            raise DisconnectClient(disconnects.EXPIRED) from None
        except InvalidToken:
            raise DisconnectClient(disconnects.INVALID_TOKEN) from None
        if claims.user != client.user:
            raise DisconnectClient(disconnects.INVALID_TOKEN)
        expire_at = 0 if self._never_expires else claims.expire_at
        ttl = ttl_of(expire_at, self._clock)
        if frozenset(claims.subs) != client.token_channels:
            # The reconnect applies what the new token says.
            raise DisconnectClient(disconnects.INSUFFICIENT_STATE)
        client.expire_at = expire_at
        has_changed = bool(claims.info) and claims.info != client.conn_info
        if has_changed:
            client.conn_info = claims.info
        client.token, client.meta = token_of(claims), claims.meta
        self._expiry.watch_connection(client)
        answer(RefreshResult(client=client.id, expires=ttl > 0, ttl=ttl))
        self._withdrawal.renew(client, claims)
        if has_changed:
            await self._entrances.renew_all(client)


class SubRefresh:
    """Prolong a subscription."""

    def __init__(self, tokens: TokenVerifier, entrances: Entrances, expiry: Expiry, clock: Clock) -> None:
        self._tokens, self._entrances, self._expiry, self._clock = tokens, entrances, expiry, clock

    async def __call__(self, client: Client, request: SubRefreshRequest, answer: Answer) -> None:
        channel = require_channel(request.channel)
        subscription = client.subscriptions.get(channel)
        if subscription is None:
            raise ClientError(errors.PERMISSION_DENIED)
        if self._expiry.renews_subscriptions_of(channel):
            raise DisconnectClient(disconnects.BAD_REQUEST)
        if not request.token:
            raise ClientError(errors.BAD_REQUEST, "token must not be empty")
        await self._tokens.prepare(request.token)
        if client.subscriptions.get(channel) is not subscription:
            raise ClientError(errors.PERMISSION_DENIED)  # it ended while the issuer's keys were fetched
        try:
            claims = self._tokens.subscription(request.token)
        except TokenExpired:
            # In this order SDKs subscribe again with a new token; the other way round they give up.
            self._expiry.expire_subscription(client, subscription)
            raise ClientError(errors.TOKEN_EXPIRED) from None
        except InvalidToken:
            raise DisconnectClient(disconnects.INVALID_TOKEN) from None
        is_for_this = claims.channel == channel and claims.user == client.user
        if not is_for_this or (claims.client and claims.client != client.id):
            raise DisconnectClient(disconnects.INVALID_TOKEN)
        ttl = ttl_of(claims.expire_at, self._clock)
        subscription.expire_at = claims.expire_at
        has_changed = bool(claims.info) and claims.info != subscription.chan_info
        if has_changed:
            subscription.chan_info = claims.info
        subscription.token, subscription.allowed = token_of(claims), claims.allowed
        self._expiry.watch_subscription(client, subscription)
        answer(SubRefreshResult(expires=ttl > 0, ttl=ttl))
        if has_changed:
            await self._entrances.renew(client, subscription)
