"""The access token of FCM: OAuth 2.0 with a signed assertion instead of a password (RFC 7523 §2.1)."""

import asyncio
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from config.clock import Clock
from pushers.providers import errors
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after

__all__ = ["AccessTokens", "ServiceAccount"]

_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_S: Final = 3600
_MARGIN_S: Final = 30.0
_AFTER_FAILURE_S: Final = 5.0


class ServiceAccount(msgspec.Struct, frozen=True):
    """What Google's JSON file says, its key parsed."""

    project_id: str
    client_email: str
    token_uri: str
    key_id: str
    key: rsa.RSAPrivateKey

    def __repr__(self) -> str:
        return f"ServiceAccount(project_id={self.project_id!r}, …)"


class _Held(msgspec.Struct, frozen=True):
    """A token with its monotonic readings: renewed in the background from `fresh_until` on, gone at `valid_until`."""

    token: str
    fresh_until: float
    valid_until: float
    replaces_refused: bool


class AccessTokens:
    """One token for all calls, fetched by one call at a time, and renewed before it ends while the old one still serves."""

    def __init__(self, account: ServiceAccount, transport: HttpTransport, clock: Clock, *, timeout_s: float) -> None:
        self._account = account
        self._transport = transport
        self._clock = clock
        self._timeout_s = timeout_s
        self._held: _Held | None = None
        self._refused = ""
        self._failure: tuple[float, errors.TransportError] | None = None
        self._flight: asyncio.Task[None] | None = None

    async def current(self) -> str:
        """Give the token to send with.

        Raises:
            Misconfigured: Google refuses the service account.
            TokenUnavailable: There is none now; told again, without asking Google, for some seconds.
        """
        held, reading = self._held, self._clock.monotonic()
        if held is not None and reading < held.fresh_until:
            return held.token
        if self._flight is None and (self._failure is None or reading >= self._failure[0]):
            self._flight = asyncio.create_task(self._renew(), name="fcm:token")
        if held is not None and reading < held.valid_until:
            return held.token
        if self._flight is not None:
            await asyncio.wait({self._flight})  # a caller that goes away leaves the call to the others
        if self._held is not None and self._held is not held:
            return self._held.token
        raise self._failure[1] if self._failure else errors.TokenUnavailable("closed while the access token was fetched")

    def replace(self, refused: str) -> bool:
        """Answer that FCM refuses a token: forget it, but once.

        Returns:
            Whether another try makes sense; False when it was a replacement itself, which means that the account is wrong.
        """
        if self._held is None or self._held.token != refused:
            return True  # another call has seen to it
        if self._held.replaces_refused:
            return False
        self._held = None
        self._refused = refused
        return True

    async def close(self) -> None:
        """End a call under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait({self._flight})

    async def _renew(self) -> None:
        """Fetch once; never raises but on cancelling, because nobody may be waiting."""
        reading = self._clock.monotonic()
        try:
            token, lifetime_s = await self._fetch(self._clock.now())
        except errors.TransportError as exc:
            self._failure = (reading + _AFTER_FAILURE_S, exc)
        else:
            valid_until = reading + max(_MARGIN_S, lifetime_s - _MARGIN_S)
            fresh_until = min(valid_until, reading + lifetime_s * 5 / 6)
            self._held = _Held(token, fresh_until, valid_until, bool(self._refused))
            self._refused = ""
            self._failure = None
        finally:
            self._flight = None

    async def _fetch(self, now: datetime) -> tuple[str, float]:
        request = HttpRequest(
            self._account.token_uri,
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode({"grant_type": _GRANT, "assertion": self._assertion(now)}).encode(),
            self._timeout_s,
        )
        try:
            response = await self._transport.request(request)
        except errors.TransportError as exc:
            # Whatever became of this call, the message itself never left.
            raise errors.TokenUnavailable(f"access token: {exc}") from exc
        return _read(response, now)

    def _assertion(self, now: datetime) -> str:
        issued_at = int(now.timestamp())
        claims = {
            "iss": self._account.client_email,
            "scope": _SCOPE,
            "aud": self._account.token_uri,
            "iat": issued_at,
            "exp": issued_at + _ASSERTION_S,
        }
        return jwt.encode(claims, self._account.key, algorithm="RS256", headers={"kid": self._account.key_id})


class _Grant(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = 3600.0


def _read(response: HttpResponse, now: datetime) -> tuple[str, float]:
    """Read the answer of the token service (RFC 6749 §5)."""
    if response.status == 200:
        try:
            grant = msgspec.json.decode(response.body, type=_Grant)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise errors.TokenUnavailable("access token: the answer is not understood") from exc
        return grant.access_token, grant.expires_in
    if response.status == 429 or response.status >= 500:
        after_s = parse_retry_after(response.header("retry-after"), now)
        raise errors.TokenUnavailable(f"access token: status {response.status}", retry_after_s=after_s)
    raise errors.Misconfigured(f"access token refused: status {response.status}")
