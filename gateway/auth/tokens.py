"""What connection and subscription tokens say, once they are believed.

A token passes seven checks, in this order: it is there, well-formed, signed by a key of its issuer; meant for us (`iss`,
`aud`); its claims keep their rules; its time has come and is not over (`exp`, `nbf`, no leeway); it was not revoked. Where two
checks fail, the earlier one speaks, so that nobody is asked to fetch a fresh copy of a token that can never pass.

JSON claims (`info`, `data`, `meta`) are kept as the bytes that were signed, on one line.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from broker.control import TokenInfo
from broker.revocation import Revocation
from config.clock import Clock
from config.token_settings import TokenSettings
from gateway.auth.capabilities import (
    NO_RIGHTS,
    BadCapability,
    Capabilities,
    Right,
    WrittenCapability,
    read_allow,
    read_capabilities,
)
from gateway.auth.errors import Check, InvalidToken, TokenExpired, TokenRevoked
from gateway.auth.issuers import Issuer, Issuers
from gateway.auth.json_members import read_members
from gateway.auth.role_claims import kept_of, roles_of
from gateway.auth.shared_keys import SharedDocuments

__all__ = ["ConnectionClaims", "ServerSubscription", "SubscriptionClaims", "SubscriptionOverride", "TokenVerifier", "token_of"]

_LIFETIME_MAX_S: Final = 365 * 24 * 3600
_NAMELESS: Final = TokenInfo()


class SubscriptionOverride(msgspec.Struct, frozen=True):
    """Options that a token sets for one subscription; None leaves the channel's own."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_push_join_leave: bool | None = None
    force_positioning: bool | None = None
    force_recovery: bool | None = None


NO_OVERRIDE: Final = SubscriptionOverride()


class ServerSubscription(msgspec.Struct, frozen=True):
    """A channel that a connection token subscribes its user to; `info` and `data` are JSON bytes, empty for none.

    A token has no more than that for a channel, the application's backend may: `expire_at` is Unix seconds, 0 for never;
    `recovers_newest` gives the newest publication at once, in channels that recover in cache mode.
    """

    info: bytes = b""
    data: bytes = b""
    override: SubscriptionOverride = NO_OVERRIDE
    expire_at: int = 0
    recovers_newest: bool = False


_PLAIN_SUBSCRIPTION: Final = ServerSubscription()
_NO_SUBSCRIPTIONS: Final[Mapping[str, ServerSubscription]] = MappingProxyType({})
_NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


class ConnectionClaims(msgspec.Struct, frozen=True):
    """Who connects, until when, and with what.

    `expire_at` and `issued_at` are Unix seconds, 0 for never and for unknown; `info` and `meta` are JSON bytes, empty for
    none; `subs` maps channels of the claims `subs` or `channels` to their options; `capabilities` is None without any. `roles`
    are those that the issuer is believed about, `kept` the claims that policies may ask for.
    """

    user: str
    expire_at: int = 0
    info: bytes = b""
    meta: bytes = b""
    subs: Mapping[str, ServerSubscription] = _NO_SUBSCRIPTIONS
    capabilities: Capabilities | None = None
    token_id: str = ""
    issued_at: float = 0.0
    roles: tuple[str, ...] = ()
    kept: Mapping[str, Any] = _NO_CLAIMS


class SubscriptionClaims(msgspec.Struct, frozen=True):
    """Which channel a user may subscribe to, until when, and with what.

    The caller compares `user`, `channel` and, where not empty, `client` with those that subscribe. `expire_at` and
    `issued_at` are Unix seconds, 0 for never and for unknown; `info` and `data` are JSON bytes, empty for none; `allowed` are
    rights that come with the subscription (the claim `allow`).
    """

    user: str
    channel: str
    client: str = ""
    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    override: SubscriptionOverride = NO_OVERRIDE
    allowed: Right = NO_RIGHTS
    token_id: str = ""
    issued_at: float = 0.0


class _Flag(msgspec.Struct):
    value: bool = False


class _Override(msgspec.Struct):
    presence: _Flag | None = None
    join_leave: _Flag | None = None
    force_push_join_leave: _Flag | None = None
    force_positioning: _Flag | None = None
    force_recovery: _Flag | None = None


class _Sub(msgspec.Struct):
    info: msgspec.Raw = msgspec.Raw()
    b64info: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    b64data: str | None = None
    override: _Override | None = None


class _Claims(_Sub):
    """The claims as they are written; an explicit null counts as absent. The user's claim has a name by settings."""

    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    jti: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    expire_at: float | None = None
    meta: msgspec.Raw = msgspec.Raw()
    channels: list[str] | None = None
    subs: dict[str, _Sub | None] | None = None
    channel: str | None = None
    client: str | None = None
    caps: list[WrittenCapability | None] | None = None
    allow: list[str] | None = None


_claims = msgspec.json.Decoder(_Claims)


class TokenVerifier:
    """Decides about tokens; one for connections, and one for subscriptions where these have keys of their own.

    Args:
        settings: The issuers: their keys, audience, and the name of the user's claim.
        revocation: Asked last, with what the token says of itself.
        clock: Tells the time that `exp` and `nbf` are compared with.
        skip_signature: Believe tokens unsigned (`client.insecure_skip_token_signature_verify`).
        section: Where the settings stand.
        kept_claims: Names of the claims that are kept for policies.
        shared: What nodes of the fleet have fetched of published keys; None where they do not share it.
    Raises:
        SettingsError: Certificates that are to be trusted cannot be read.
    """

    def __init__(
        self,
        settings: TokenSettings,
        *,
        revocation: Revocation,
        clock: Clock,
        skip_signature: bool = False,
        section: str = "client.token",
        kept_claims: Sequence[str] = (),
        shared: SharedDocuments | None = None,
    ) -> None:
        self.issuers = Issuers(settings, clock, section=section, shared=shared)
        self._revocation = revocation
        self._clock = clock
        self._skip_signature = skip_signature
        self._kept_claims = kept_claims

    @property
    def waits(self) -> bool:
        """Whether `prepare` may have to wait at all: whether some issuer publishes its keys."""
        return bool(self.issuers.sources) and not self._skip_signature

    async def prepare(self, token: str) -> None:
        """Wait until the token can be judged: a key that its issuer publishes may have to be fetched first.

        Called before `connection` and `subscription`, which never wait; returns at once where the key is here.

        Raises:
            KeysUnavailable: The issuer does not say which keys it has (error 100, temporary).
        """
        if self.waits:
            await self.issuers.prepare(token)

    def connection(self, token: str) -> ConnectionClaims:
        """Verify a connection token.

        Raises:
            InvalidToken: It can never pass (disconnect 3500).
            TokenExpired: Its time is over or has not come, or it was revoked (error 109).
        """
        issuer, members, claims = self._read(token)
        user = _user(members, issuer)
        if claims.channel is not None:
            raise InvalidToken("a connection token must not have the claim channel")
        result = ConnectionClaims(
            user=user,
            expire_at=self._expire_at(claims),
            info=_json(claims.info, claims.b64info, "info"),
            meta=_meta(claims.meta),
            subs=_subscriptions(claims),
            capabilities=_capabilities(claims),
            token_id=claims.jti or "",
            issued_at=claims.iat or 0.0,
            roles=roles_of(members, issuer.roles_claim),
            kept=kept_of(members, self._kept_claims) if self._kept_claims else _NO_CLAIMS,
        )
        self._check_time(claims)
        self._check_revocation(user, token_of(result))
        return result

    def subscription(self, token: str) -> SubscriptionClaims:
        """Verify a subscription token.

        Raises:
            InvalidToken: It can never pass (error 103 on subscribe, disconnect 3500 on sub_refresh).
            TokenExpired: Its time is over or has not come, or it was revoked (error 109).
        """
        issuer, members, claims = self._read(token)
        user = _user(members, issuer)
        if not claims.channel:
            raise InvalidToken("a subscription token must have the claim channel")
        result = SubscriptionClaims(
            user=user,
            channel=claims.channel,
            client=claims.client or "",
            expire_at=self._expire_at(claims),
            info=_json(claims.info, claims.b64info, "info"),
            data=_json(claims.data, claims.b64data, "data"),
            override=_override(claims.override),
            allowed=_allowed(claims),
            token_id=claims.jti or "",
            issued_at=claims.iat or 0.0,
        )
        self._check_time(claims)
        self._check_revocation(user, token_of(result), result.channel)
        return result

    def is_revoked(self, user: str, token: TokenInfo, channel: str = "") -> bool:
        """Ask again about a token that passed before; `channel` is that of a subscription token."""
        return self._revocation.is_revoked(user=user, token_id=token.uid, issued_at=token.issued_at, channel=channel)

    def _read(self, token: str) -> tuple[Issuer, Mapping[str, Any], _Claims]:
        """Open a token, read its claims, and see whose it is and that it is meant for us."""
        issuer = self.issuers.of(token)
        payload = issuer.keyring.open(token, skip_signature=self._skip_signature)
        members = _members(payload)
        try:
            claims = _claims.decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise InvalidToken("token has a claim of a wrong type") from None
        if issuer.issuer and claims.iss != issuer.issuer:
            raise InvalidToken("token is of another issuer", Check.ISSUER)
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or ()
        if issuer.audience and issuer.audience not in audiences:
            raise InvalidToken("token is for another audience", Check.AUDIENCE)
        return issuer, members, claims

    def _check_time(self, claims: _Claims) -> None:
        now = self._clock.now().timestamp()
        if claims.exp is not None and claims.exp <= now:
            raise TokenExpired("token has expired", Check.EXPIRED)
        if claims.nbf is not None and claims.nbf > now:
            raise TokenExpired("token is not valid yet", Check.NOT_YET)

    def _check_revocation(self, user: str, token: TokenInfo, channel: str = "") -> None:
        if self.is_revoked(user, token, channel):
            raise TokenRevoked("token was revoked", Check.REVOKED)

    def _expire_at(self, claims: _Claims) -> int:
        """Tell when what the token grants ends; at most a year from now, 0 for never."""
        ends = claims.exp if claims.expire_at is None else claims.expire_at
        if ends is None or (claims.expire_at is not None and ends <= 0):
            return 0
        # Rounded up, as the ttl is: what has begun may not be over before the token is.
        return math.ceil(min(ends, self._clock.now().timestamp() + _LIFETIME_MAX_S))


def token_of(claims: ConnectionClaims | SubscriptionClaims) -> TokenInfo:
    """Tell what is remembered of a token, so that it can be revoked later."""
    if not claims.token_id and not claims.issued_at:
        return _NAMELESS
    return TokenInfo(claims.token_id, claims.issued_at)


def _members(payload: bytes) -> Mapping[str, Any]:
    """Read the claims by name, refusing names that come twice: two readers must never see two users (RFC 7519 §4)."""
    try:
        members = read_members(payload)
    except ValueError:
        raise InvalidToken("token's claims are no JSON, or have a name twice", Check.FORM) from None
    if not isinstance(members, dict):
        raise InvalidToken("token's claims are no JSON object", Check.FORM)
    return members


def _user(members: Mapping[str, Any], issuer: Issuer) -> str:
    user = members.get(issuer.user_claim)
    if user is None or user == "":
        return ""
    if not isinstance(user, str) or not _is_text(user):
        raise InvalidToken(f"the claim {issuer.user_claim} must be a string")
    return issuer.user_prefix + user


def _is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: JSON escapes can smuggle in half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(raw: msgspec.Raw, b64: str | None, name: str) -> bytes:
    """Take a JSON claim as bytes on one line; its base64 form wins."""
    if not b64:
        return _one_line(bytes(raw))
    try:
        value = base64.b64decode(b64, validate=True)
        msgspec.json.decode(value)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        # It would go to other clients inside their JSON, as it is.
        raise InvalidToken(f"the claim b64{name} must be base64 of JSON") from None
    return _one_line(value)


def _one_line(value: bytes) -> bytes:
    """Turn line ends into blanks: inside JSON text they only stand between values, but on the wire they end a message."""
    value = value.strip()
    if value == b"null":
        return b""
    return value.translate(_BLANKS) if b"\n" in value or b"\r" in value else value


_BLANKS: Final = bytes.maketrans(b"\r\n", b"  ")


def _meta(raw: msgspec.Raw) -> bytes:
    value = _one_line(bytes(raw))
    if value and not value.startswith(b"{"):
        raise InvalidToken("the claim meta must be a JSON object")
    return value


def _subscriptions(claims: _Claims) -> Mapping[str, ServerSubscription]:
    """Read the channels that the server subscribes to; `subs` wins over `channels`."""
    if claims.subs:
        return {
            channel: _PLAIN_SUBSCRIPTION
            if sub is None
            else ServerSubscription(
                info=_json(sub.info, sub.b64info, "info"),
                data=_json(sub.data, sub.b64data, "data"),
                override=_override(sub.override),
            )
            for channel, sub in claims.subs.items()
        }
    return dict.fromkeys(claims.channels, _PLAIN_SUBSCRIPTION) if claims.channels else _NO_SUBSCRIPTIONS


def _capabilities(claims: _Claims) -> Capabilities | None:
    try:
        return read_capabilities(claims.caps)
    except BadCapability as exc:
        raise InvalidToken(f"the claim caps breaks a rule: {exc}") from None


def _allowed(claims: _Claims) -> Right:
    try:
        return read_allow(claims.allow)
    except BadCapability as exc:
        raise InvalidToken(f"the claim allow breaks a rule: {exc}") from None


def _override(written: _Override | None) -> SubscriptionOverride:
    if written is None:
        return NO_OVERRIDE
    flags = {name: getattr(written, name) for name in SubscriptionOverride.__struct_fields__}
    return SubscriptionOverride(**{name: flag and flag.value for name, flag in flags.items()})
