"""The command `subscribe`: the checks in the order that clients rely on, then the way in."""

from broker.channels import ChannelRules
from broker.errors import Unavailable
from config.clock import Clock
from config.settings import ChannelOptions, ClientSettings
from gateway.auth.access import BY_PROXY, BY_TOKEN, Access
from gateway.auth.capabilities import Right
from gateway.auth.decision import Decision
from gateway.auth.errors import InvalidToken, TokenExpired
from gateway.auth.grants import grant
from gateway.auth.tokens import SubscriptionClaims, TokenVerifier, token_of
from gateway.commands.answer import Answer, asked_of, require_channel, subscribe_result, ttl_of
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import SubscribeRequest
from gateway.proxy.proxies import Proxies
from gateway.proxy.subscribe import SubscribeProxy
from gateway.session.client import Client
from gateway.session.entrance import Entrances
from gateway.session.expiry import Expiry
from gateway.session.subscription import Grant, Source

__all__ = ["Subscribe"]

_PRIVATE = "$"


class Subscribe:
    """Enter a channel from the client's side."""

    def __init__(
        self,
        settings: ClientSettings,
        rules: ChannelRules,
        access: Access,
        tokens: TokenVerifier,
        entrances: Entrances,
        expiry: Expiry,
        proxies: Proxies,
        clock: Clock,
    ) -> None:
        self._settings, self._rules, self._access, self._proxies = settings, rules, access, proxies
        self._permissions = access.permissions
        self._tokens, self._entrances, self._expiry, self._clock = tokens, entrances, expiry, clock

    async def __call__(self, client: Client, request: SubscribeRequest, answer: Answer) -> None:
        options = self._check(client, request)
        if (proxy := self._who_decides(client, request, options)) is not None:
            granted = await self._ask(proxy, client, request, options)
        else:
            if request.token and self._tokens.waits:
                await self._prepare(client, request)
            granted = self._grant(client, request, options)
        ttl = ttl_of(granted.expire_at, self._clock)
        if self._expiry.renews_subscriptions_of(request.channel):
            ttl = 0  # the server sees to it
        entrance = await self._entrances.prepare(client, request.channel, granted, asked_of(request))
        try:
            if not client.is_connected:
                raise DisconnectClient(disconnects.CLOSED)  # it left while we waited
            if granted.token is not None and self._tokens.is_revoked(client.user, granted.token, request.channel):
                raise ClientError(errors.TOKEN_EXPIRED)  # revoked while we waited
            if granted.lent and granted.lent not in self._rights(client, request.channel, options):
                raise Unavailable("a right was withdrawn meanwhile")  # SDKs try once more, and are judged anew
            if not self._access.keeps(client, request.channel, granted.source, options):
                raise Unavailable("a policy changed meanwhile")  # as well
            result = subscribe_result(self._entrances.settle(entrance), ttl, client.wire.codec)
        except BaseException:
            await self._entrances.give_up(entrance)
            raise
        answer(result)
        subscription = self._entrances.take_place(entrance)
        self._expiry.watch_subscription(client, subscription)
        await self._entrances.announce(subscription, client)

    def _check(self, client: Client, request: SubscribeRequest) -> ChannelOptions:
        channel = require_channel(request.channel)
        if request.delta not in ("", "fossil"):
            raise DisconnectClient(disconnects.BAD_REQUEST)
        if len(channel.encode()) > self._settings.channel_max_length:
            limit = self._settings.channel_max_length
            raise ClientError(errors.BAD_REQUEST, f"channel must be at most {limit} bytes")
        if channel in client.subscriptions or channel in client.subscribing:
            raise ClientError(errors.ALREADY_SUBSCRIBED)
        if len(client.subscriptions) + len(client.subscribing) >= self._settings.channel_limit:
            raise ClientError(errors.LIMIT_EXCEEDED)
        options = self._rules.options(channel)
        if not self._rules.is_name_allowed(channel, options):
            raise ClientError(errors.BAD_REQUEST, "channel has characters that are not allowed there")
        if request.type != 0:
            raise ClientError(errors.NOT_AVAILABLE)
        return options

    def _grant(self, client: Client, request: SubscribeRequest, options: ChannelOptions) -> Grant:
        channel = request.channel
        if request.token:
            claims = self._claims(client, request)
            self._require(self._access.subscribe(BY_TOKEN, client, channel, options), client, channel)
            return grant(
                options,
                Source.SUBSCRIPTION_TOKEN,
                permissions=self._permissions,
                user=client.user,
                request=request,
                reading=self._access.reading(client, channel, options),
                info=claims.info,
                data=claims.data,
                expire_at=claims.expire_at,
                override=claims.override,
                token=token_of(claims),
                allowed=claims.allowed,
                rights=self._rights(client, channel, options),
            )
        if channel.startswith(_PRIVATE):
            raise ClientError(errors.PERMISSION_DENIED)
        return grant(
            options,
            self._access.enter(client, channel, options),
            permissions=self._permissions,
            user=client.user,
            request=request,
            reading=self._access.reading(client, channel, options),
            rights=self._rights(client, channel, options),
        )

    def _rights(self, client: Client, channel: str, options: ChannelOptions) -> Right:
        return self._permissions.rights(client.capabilities, client.user, channel, options, self._rules)

    def _who_decides(self, client: Client, request: SubscribeRequest, options: ChannelOptions) -> SubscribeProxy | None:
        """Tell who of the application decides, if any: there is no token, and the channel belongs to no listed users."""
        is_settled = (
            request.token
            or request.channel.startswith(_PRIVATE)
            or self._permissions.is_limited_to(client.user, request.channel, options) is not None
        )
        return None if is_settled else self._proxies.subscribe(options)

    async def _prepare(self, client: Client, request: SubscribeRequest) -> None:
        """Wait for a key that the token's issuer may have to be asked for."""
        client.subscribing.add(request.channel)  # held meanwhile, as below
        try:
            await self._tokens.prepare(request.token)
        finally:
            client.subscribing.discard(request.channel)
        if not client.is_connected:
            raise DisconnectClient(disconnects.CLOSED)  # it left while the issuer answered

    async def _ask(self, proxy: SubscribeProxy, client: Client, request: SubscribeRequest, options: ChannelOptions) -> Grant:
        self._require(self._access.subscribe(BY_PROXY, client, request.channel, options), client, request.channel)
        # Held meanwhile, so that nobody else subscribes the client to the same channel.
        client.subscribing.add(request.channel)
        try:
            given, allowed = await proxy(client, request)
        finally:
            client.subscribing.discard(request.channel)
        if not client.is_connected:
            raise DisconnectClient(disconnects.CLOSED)  # it left while the backend answered
        return grant(
            options,
            Source.SUBSCRIBE_PROXY,
            permissions=self._permissions,
            user=client.user,
            request=request,
            reading=self._access.reading(client, request.channel, options),
            info=given.info,
            data=given.data,
            expire_at=given.expire_at,
            override=given.override,
            allowed=allowed,
            rights=self._rights(client, request.channel, options),
        )

    def _claims(self, client: Client, request: SubscribeRequest) -> SubscriptionClaims:
        try:
            claims = self._tokens.subscription(request.token)
        except TokenExpired:
            raise ClientError(errors.TOKEN_EXPIRED) from None
        except InvalidToken as exc:
            # 103 and not 3500: a client with one bad subscription token keeps its connection.
            raise ClientError(errors.PERMISSION_DENIED) from exc
        is_for_this = claims.channel == request.channel and claims.user == client.user
        if not is_for_this or (claims.client and claims.client != client.id):
            raise DisconnectClient(disconnects.INVALID_TOKEN)
        return claims

    def _require(self, decision: Decision, client: Client, channel: str) -> None:
        self._access.require(decision, client, "subscribe", channel)
