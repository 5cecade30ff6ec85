"""Sessions of operators: a short signed value in a cookie, and what is derived from it.

Nothing is kept about a session that goes on: the value names its user and its end, and counts on every node. What is kept are
sessions that were ended by hand, as revoked tokens are (`broker.revocation`): on every node within a moment, beyond restarts,
until they would have ended anyway. Who is no longer in the settings, or has another password there, has no session any more.
"""

import base64
import hashlib
import hmac
import math
import secrets
from typing import Final

import jwt
import msgspec

from broker.control import Control, Distrust
from broker.errors import NotFound
from broker.revocation import Revocation
from broker.signed_tokens import SignedTokens
from config.admin_settings import AdminSettings, AdminUserSettings
from config.clock import Clock

__all__ = ["ISSUER", "USER_PREFIX", "Session", "Sessions", "derive_key"]

# Whose tokens open live connections of the page; no issuer of an application has such a name, as it is no URL and no word.
ISSUER: Final = "$heliograph-admin"
USER_PREFIX: Final = "$admin:"
_LIVE_TTL_S: Final = 60
_VALUE_MAX: Final = 512


class Session(msgspec.Struct, frozen=True):
    """Somebody who has logged in; `ends_at` in Unix seconds."""

    id: str
    name: str
    role: str
    ends_at: int


class _Named(msgspec.Struct, frozen=True, array_like=True):
    id: str
    name: str
    ends_at: int
    print: str


class Sessions:
    """Opens, reads and ends sessions."""

    def __init__(self, settings: AdminSettings, revocation: Revocation, control: Control, clock: Clock) -> None:
        secret = settings.secret.get_secret_value().encode()
        self._users = {user.name: user for user in settings.users}
        self._prints = {user.name: _print(user, secret) for user in settings.users}
        self._ttl_s, self._clock = settings.session_ttl, clock
        self._revocation, self._control = revocation, control
        self._values = SignedTokens("admin session", [secret])
        self._tickets = SignedTokens("admin live", [secret])
        self._csrf_key, self.live_key = derive_key(secret, "admin csrf"), derive_key(secret, "admin token")

    def open(self, name: str) -> tuple[str, Session]:
        """Begin a session of a user who has shown who they are; gives the cookie's value too."""
        ends_at = math.ceil(self._clock.now().timestamp() + self._ttl_s)
        session = Session(secrets.token_urlsafe(16), name, self._users[name].role, ends_at)
        return self._seal(self._values, session), session

    def read(self, value: str) -> Session | None:
        """Tell whose session a cookie's value is; None where it is none, or none any more."""
        return self._open(self._values, value)

    async def end(self, session: Session) -> None:
        """End a session on every node, with its live connections.

        Raises:
            Unavailable: It may go on elsewhere; to be repeated.
        """
        try:
            await self._revocation.revoke_token(session.id, until=float(session.ends_at))
        finally:
            await self._control.send(Distrust(token_id=session.id))

    def csrf_of(self, session: Session) -> str:
        """Give what each request that acts must repeat in a header; of this session alone."""
        return base64.urlsafe_b64encode(hmac.digest(self._csrf_key, session.id.encode(), "sha256")).rstrip(b"=").decode()

    def is_csrf(self, session: Session, given: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.csrf_of(session).encode(), given.encode(errors="replace"))

    def live_pass(self, session: Session) -> tuple[str, str]:
        """Make what opens a live connection: a token to connect by, and a ticket to watch by, which no token replaces."""
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "sub": session.name,
            "jti": session.id,
            "iat": now,
            "exp": min(session.ends_at, now + _LIVE_TTL_S),
            "expire_at": session.ends_at,
        }
        token = jwt.encode(claims, self.live_key, "HS256")
        return token, self._seal(self._tickets, session)

    def read_ticket(self, ticket: str) -> Session | None:
        """Tell whose ticket it is; None where it is none."""
        return self._open(self._tickets, ticket)

    def goes_on(self, session: Session) -> bool:
        """Whether a session that was read before has not ended meanwhile."""
        if session.ends_at <= self._clock.now().timestamp():
            return False
        return not self._revocation.is_revoked(user="", token_id=session.id, issued_at=math.inf)

    def _seal(self, sealed: SignedTokens, session: Session) -> str:
        print_ = self._prints[session.name]
        return sealed.seal(msgspec.json.encode(_Named(session.id, session.name, session.ends_at, print_)))

    def _open(self, sealed: SignedTokens, value: str) -> Session | None:
        if len(value) > _VALUE_MAX:
            return None
        try:
            named = _decoder.decode(sealed.open(value))
        except (NotFound, msgspec.MsgspecError):
            return None
        user = self._users.get(named.name)
        if user is None or not hmac.compare_digest(self._prints[named.name], named.print):
            return None
        session = Session(named.id, named.name, user.role, named.ends_at)
        return session if self.goes_on(session) else None


_decoder: Final = msgspec.json.Decoder(_Named)


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Make a key for one purpose, which tells nothing of those for others."""
    return hashlib.sha256(b"heliograph %b\0" % purpose.encode() + secret).digest()


def _print(user: AdminUserSettings, secret: bytes) -> str:
    """Stand for a password without telling anything of it."""
    return hmac.digest(derive_key(secret, "admin password"), user.password_hash.get_secret_value().encode(), "sha256").hex()[
        :16
    ]
