"""The command `connect`: who the client is, what it is subscribed to from the start, and the one reply that says so."""

import msgspec

from broker.channels import ChannelRules, UnknownNamespace
from broker.control import TokenInfo
from broker.errors import Unavailable
from broker.model import Position
from broker.revocation import Revocation
from config.clock import Clock
from config.settings import ClientSettings
from gateway.auth.access import BY_PROXY, BY_TOKEN, Access
from gateway.auth.capabilities import NO_RIGHTS, Right
from gateway.auth.errors import InvalidToken, TokenExpired
from gateway.auth.grants import server_grant
from gateway.auth.tokens import ConnectionClaims, TokenVerifier, token_of
from gateway.commands.answer import Answer, subscribe_result, ttl_of
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import ConnectRequest, ConnectResult, SubscribeRequest, SubscribeResult, raw
from gateway.proxy.connect import Introduction
from gateway.proxy.proxies import Proxies
from gateway.session.arrival import Arrival
from gateway.session.client import Client
from gateway.session.entrance import Asked, Entrance, Entrances
from gateway.session.expiry import Expiry
from gateway.session.subscription import Grant, Source
from gateway.session.withdrawal import Withdrawal
from gateway.transports.transport import Kind

__all__ = ["Connect"]

_NAME_LENGTH = 16
_VERSION_LENGTH = 64


class _Wanted(msgspec.Struct, frozen=True):
    channel: str
    grant: Grant
    asked: Asked


class Connect:
    """Let a client in."""

    def __init__(
        self,
        settings: ClientSettings,
        rules: ChannelRules,
        access: Access,
        tokens: TokenVerifier,
        revocation: Revocation,
        entrances: Entrances,
        arrival: Arrival,
        expiry: Expiry,
        withdrawal: Withdrawal,
        proxies: Proxies,
        clock: Clock,
        *,
        server_version: str,
        node_id: str,
    ) -> None:
        self._settings, self._rules, self._access = settings, rules, access
        self._tokens, self._revocation = tokens, revocation
        self._entrances, self._arrival, self._clock = entrances, arrival, clock
        self._expiry, self._withdrawal, self._proxies = expiry, withdrawal, proxies
        self._server_version, self._node_id = server_version, node_id

    async def __call__(self, client: Client, request: ConnectRequest, answer: Answer) -> None:
        client.emulated_headers = self._proxies.kept_headers(request.headers)
        introduction = await self._ask(client, request)
        await self._tokens.prepare(request.token)
        if not client.is_open:
            raise DisconnectClient(disconnects.CLOSED)  # it left while its issuer's keys were fetched
        claims = introduction.claims if introduction else self._who(client, request)
        token = token_of(claims) if request.token else None
        self._check_trust(claims.user, token)
        expire_at = 0 if self._settings.insecure else claims.expire_at
        ttl = ttl_of(expire_at, self._clock)
        self._arrival.count(claims.user)
        self._arrival.check_limits(claims.user)
        client.user, client.conn_info, client.expire_at = claims.user, claims.info, expire_at
        client.name, client.version = request.name[:_NAME_LENGTH], request.version[:_VERSION_LENGTH]
        client.token_channels = frozenset(claims.subs) if introduction is None else frozenset()
        client.token, client.meta = token, claims.meta
        self._withdrawal.begin(client, claims)
        self._access.connect(client)
        wanted = self._subscriptions(client, claims, request, is_introduced=introduction is not None)
        entrances: list[Entrance] = []
        try:
            for entry in wanted:
                entrance = await self._entrances.prepare(client, entry.channel, entry.grant, entry.asked)
                entrances.append(entrance)
            await self._arrival.register(client)
            await self._entrances.level(*entrances)
            if not client.is_open:
                raise DisconnectClient(disconnects.CLOSED)  # it left while we waited
            # Whoever was blocked or revoked meanwhile was not found among the connected, and others may have come.
            self._check_trust(claims.user, token)
            self._arrival.check_limits(claims.user)
            self._withdrawal.look_again(client, claims)
            for entry in wanted:
                if not self._may_still_enter(client, entry):
                    raise Unavailable("roles or a policy changed meanwhile")  # SDKs try once more, and are judged anew
            codec = client.wire.codec
            subs = {
                entrance.room.channel: subscribe_result(self._entrances.settle(entrance), self._sub_ttl(entrance), codec)
                for entrance in entrances
            }
        except BaseException:
            await self._entrances.give_up(*entrances)
            await self._arrival.unregister(client)
            raise
        # From here to the last `take_place` nothing may wait: nothing comes before the reply, and nothing is missed after it.
        self._arrival.admit(client)
        data = introduction.data if introduction else b""
        answer(self._result(client, 0 if self._expiry.renews_connections else ttl, data, subs))
        subscriptions = [self._entrances.take_place(entrance) for entrance in entrances]
        self._arrival.watch(client)
        for subscription in subscriptions:
            self._expiry.watch_subscription(client, subscription)
        for subscription in subscriptions:
            await self._entrances.announce(subscription, client)

    async def _ask(self, client: Client, request: ConnectRequest) -> Introduction | None:
        """Ask the application's backend who comes without a token; None where it is not asked, or knows nobody."""
        if request.token or self._proxies.connect is None:
            return None
        introduction = await self._proxies.connect(client, request)
        if not client.is_open:
            raise DisconnectClient(disconnects.CLOSED)  # it left while the backend answered
        return introduction

    def _sub_ttl(self, entrance: Entrance) -> int:
        """Tell how long a subscription lasts; 0 where it does not end, or where the server sees to it."""
        if self._expiry.renews_subscriptions_of(entrance.room.channel):
            return 0
        return ttl_of(entrance.grant.expire_at, self._clock)

    def _who(self, client: Client, request: ConnectRequest) -> ConnectionClaims:
        """Find out who connects; the first source that applies counts."""
        if request.token:
            return self._claims(request.token)
        if self._settings.allow_anonymous_connect_without_token or self._settings.insecure:
            return ConnectionClaims("")
        header = self._settings.user_id_http_header.lower()
        if header and (user := client.transport.headers.get(header, "")):
            return ConnectionClaims(user)
        raise DisconnectClient(disconnects.BAD_REQUEST)

    def _check_trust(self, user: str, token: TokenInfo | None) -> None:
        if user and self._revocation.is_blocked(user):
            raise DisconnectClient(disconnects.PERMISSION_DENIED)
        if token is not None and self._tokens.is_revoked(user, token):
            raise ClientError(errors.TOKEN_EXPIRED)

    def _claims(self, token: str) -> ConnectionClaims:
        try:
            claims = self._tokens.connection(token)
        except TokenExpired:
            raise ClientError(errors.TOKEN_EXPIRED) from None
        except InvalidToken:
            raise DisconnectClient(disconnects.INVALID_TOKEN) from None
        if not claims.user and self._settings.disallow_anonymous_connection_tokens:
            raise DisconnectClient(disconnects.PERMISSION_DENIED)
        return claims

    def _subscriptions(
        self, client: Client, claims: ConnectionClaims, request: ConnectRequest, *, is_introduced: bool
    ) -> list[_Wanted]:
        """Put together what the server subscribes the client to: its token, its personal channel, its own wishes."""
        grants: dict[str, Grant] = {}
        base = BY_PROXY if is_introduced else BY_TOKEN
        for channel, entry in claims.subs.items():
            if not self._access.subscribe(base, client, channel, self._rules.options(channel)).allowed:
                continue  # passed over in silence, like a wish that is not granted
            grants[channel] = server_grant(
                self._rules.options(channel),
                Source.CONNECT_PROXY if is_introduced else Source.CONNECTION_TOKEN,
                info=entry.info,
                data=entry.data,
                expire_at=entry.expire_at,
                override=entry.override,
                recovers_newest=entry.recovers_newest,
                delta=_delta(request, channel),
            )
        personal = self._rules.personal(claims.user)
        if personal is not None and personal not in grants:
            grants[personal] = server_grant(self._rules.options(personal), Source.PERSONAL, delta=_delta(request, personal))
        # A backend that says who comes also says into which channels.
        for channel in () if is_introduced else request.subs:
            if channel not in grants and (right := self._right_to_enter(client, channel)) is not None:
                grants[channel] = server_grant(
                    self._rules.options(channel),
                    Source.POLICY if right is Source.POLICY else Source.CONNECT_REQUEST,
                    delta=_delta(request, channel),
                    lent=Right.SUB if right is Source.CAPABILITY else NO_RIGHTS,
                )
        if len(grants) > self._settings.channel_limit:
            raise DisconnectClient(disconnects.CHANNEL_LIMIT)
        return [_Wanted(channel, entry, _asked(request.subs.get(channel))) for channel, entry in grants.items()]

    def _right_to_enter(self, client: Client, channel: str) -> Source | None:
        """Judge a channel that the client itself names in `subs`; a wrong one is passed over in silence."""
        try:
            options = self._rules.options(channel)
        except UnknownNamespace as exc:
            raise DisconnectClient(disconnects.BAD_REQUEST) from exc
        is_named_well = (
            0 < len(channel.encode()) <= self._settings.channel_max_length
            and not channel.startswith("$")
            and self._rules.is_name_allowed(channel, options)
        )
        if not is_named_well:
            return None
        if options.subscribe_proxy_enabled and self._access.permissions.is_limited_to(client.user, channel, options) is None:
            return None  # only a subscribe of its own asks the backend
        return self._access.source(client, channel, options)[0]

    def _may_still_enter(self, client: Client, wanted: _Wanted) -> bool:
        channel, grant, options = wanted.channel, wanted.grant, self._rules.options(wanted.channel)
        if grant.lent:
            rights = self._access.permissions.rights(client.capabilities, client.user, channel, options, self._rules)
            if grant.lent not in rights:
                return False
        return self._access.keeps(client, channel, grant.source, options)

    def _result(self, client: Client, ttl: int, data: bytes, subs: dict[str, SubscribeResult]) -> ConnectResult:
        settings, wire = self._settings, client.wire
        pings = bool(settings.ping_interval) and wire.announces_ping
        return ConnectResult(
            client=client.id,
            version=self._server_version,
            expires=ttl > 0,
            ttl=ttl,
            data=raw(data),
            subs=subs,
            ping=max(1, round(settings.ping_interval)) if pings else 0,
            pong=pings and bool(settings.pong_timeout) and wire.kind is not Kind.UNIDIRECTIONAL,
            session=client.session_id,
            node=self._node_id if wire.kind is Kind.EMULATED else "",
            time=int(self._clock.now().timestamp() * 1000) if settings.connect_include_server_time else 0,
        )


def _delta(request: ConnectRequest, channel: str) -> str:
    wish = request.subs.get(channel)
    return wish.delta if wish is not None else ""


def _asked(request: SubscribeRequest | None) -> Asked:
    if request is None or not request.recover:
        return Asked()
    return Asked(Position(request.offset, request.epoch))
