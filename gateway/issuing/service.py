"""Logins: begun by the application's backend, kept up by the client, ended by either or by a refresh token used twice.

A refresh token is used once. It gives a pair: an access token, and the next refresh token. One that is used again means that
two have it, of whom one has no right to; which one cannot be told, so the login ends for both (RFC 9700 §4.14.2). There is one
exception: an answer may get lost, and two tabs may ask at the same moment. So within a few seconds, and as long as the next
token was not used, the one before it gives the very same pair again.
"""

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from broker.audit import Act, Decision, Witness
from broker.control import Control, Distrust
from broker.errors import BadInput, NotFound
from broker.revocation import Revocation
from broker.token_families import EndReason, TokenFamilies, TokenFamily
from config.clock import Clock
from config.logs import get_logger
from config.token_settings import IssueSettings
from gateway.auth.errors import InvalidToken, TokenExpired
from gateway.auth.tokens import TokenVerifier
from gateway.issuing.refresh_token import RefreshToken, RefreshTokens
from gateway.issuing.signer import RESERVED_CLAIMS, Signer

__all__ = ["CLAIMS_MAX_BYTES", "Outcome", "Pair", "RefreshRefused", "TokenService"]

_log = get_logger()

CLAIMS_MAX_BYTES: Final = 8192
_ACCESS_TTL_MAX_S: Final = 86400
_LISTED: Final = 100
# The clocks of nodes differ: a word about a login is kept for so long after its last access token has expired.
_SLACK_S: Final = 300.0


class Outcome(StrEnum):
    """What was done, for metrics."""

    ISSUED = "issued"
    REFRESHED = "refreshed"
    REPEATED = "repeated"
    REFUSED = "refused"
    REUSED = "reused"


class RefreshRefused(Exception):
    """A refresh token gives nothing: the user has to log in again. The text is for the log; the client is told nothing more.

    `family` is the login that it names, None where it names none.
    """

    def __init__(self, text: str, family: TokenFamily | None = None) -> None:
        super().__init__(text)
        self.family = family


class Pair(msgspec.Struct, frozen=True):
    """What a client gets: tokens, and for how many seconds from now they are good."""

    family_id: str
    access_token: str
    access_s: float
    refresh_token: str
    refresh_s: float


class TokenService:
    """Issues, refreshes and revokes."""

    def __init__(
        self,
        settings: IssueSettings,
        families: TokenFamilies,
        verifier: TokenVerifier,
        revocation: Revocation,
        control: Control,
        clock: Clock,
        witness: Witness,
    ) -> None:
        self._settings, self._families, self._verifier = settings, families, verifier
        self._revocation, self._control, self._clock = revocation, control, clock
        self._witness = witness
        self._signer = Signer(settings)
        self.counts = dict.fromkeys(Outcome, 0)
        keys = (settings.signing_key.get_secret_value(), settings.previous_signing_key.get_secret_value())
        self._tokens = RefreshTokens(tuple(key for key in keys if key))

    async def issue(self, user: str, claims: msgspec.Raw, ttl_s: float) -> Pair:
        """Begin a login.

        Args:
            claims: A JSON object of what access tokens say beside who they speak for; empty for nothing.
            ttl_s: How long access tokens last; 0 for the settings' time.
        Raises:
            BadInput: Naming the field.
            StoreUnavailable: Nothing was begun, or nobody has its tokens.
        """
        if not user:
            raise BadInput("user", "must not be empty")
        if not 0 <= ttl_s <= _ACCESS_TTL_MAX_S:
            raise BadInput("ttl_s", f"must be from 1 to {_ACCESS_TTL_MAX_S}, or 0 for what the settings say")
        family = self._begin(user, _checked(claims), ttl_s or self._settings.access_ttl)
        self._check(self._signer.sign(family, family.created_at))
        await self._families.open(family)
        return self._give(family, Outcome.ISSUED)

    async def refresh(self, text: str) -> Pair:
        """Use a refresh token.

        Raises:
            RefreshRefused: It gives nothing.
            Unavailable: Whether it was used is unknown; using it again soon is safe.
        """
        try:
            return await self._refresh(text)
        except RefreshRefused as exc:
            self.counts[Outcome.REFUSED] += 1
            if exc.family is not None:  # rubbish could fill the audit
                family = exc.family
                act = Act("token.refresh", f"token_family:{family.id}", family.user, Decision.DENIED, rule=str(exc))
                self._witness.record(act)
            raise

    async def revoke(self, text: str) -> None:
        """End the login that a refresh token belongs to; one that belongs to none is no error (RFC 7009 §2.2).

        Raises:
            Unavailable: Whether it has ended everywhere is unknown; saying it again is safe.
        """
        try:
            _, family = await self._authenticate(text)
        except RefreshRefused:
            return
        await self._end(family.id, EndReason.LOGOUT)

    async def end(self, family_id: str) -> None:
        """End a login by its id.

        Raises:
            NotFound: There is none.
            Unavailable: As `revoke`.
        """
        if await self._end(family_id, EndReason.API) is None:
            raise NotFound("token family")

    async def end_all(self, user: str) -> int:
        """End all logins of a user; tells how many lived.

        Raises:
            Unavailable: As `revoke`.
        """
        count = 0
        while living := await self._families.of_user(user, limit=_LISTED, only_open=True):
            for family in living:
                await self._end(family.id, EndReason.API)
            count += len(living)
        return count

    async def of_user(self, user: str) -> Sequence[TokenFamily]:
        """List a user's newest logins, those that have ended included until they are forgotten."""
        return await self._families.of_user(user, limit=_LISTED)

    async def _refresh(self, text: str) -> Pair:
        token, family = await self._authenticate(text)
        await self._require_life(family)
        await self._require_trust(family)
        if token.number == family.generation:
            if (rotated := await self._rotate(family)) is not None:
                return self._give(rotated, Outcome.REFRESHED)
            family = await self._again(family)
        if self._was_just_used(token, family):
            return self._give(family, Outcome.REPEATED)
        self.counts[Outcome.REUSED] += 1
        _log.warning("refresh_token.reused", family=family.id, number=token.number, current=family.generation)
        await self._end(family.id, EndReason.REUSED)
        raise RefreshRefused("used before", family)

    def _begin(self, user: str, claims: bytes, access_ttl_s: float) -> TokenFamily:
        now, family_id, salt = self._clock.now(), secrets.token_hex(16), secrets.token_bytes(32)
        expires_at = now + timedelta(seconds=self._settings.family_ttl)
        return TokenFamily(
            id=family_id,
            user=user,
            claims=claims,
            access_ttl_s=access_ttl_s,
            salt=salt,
            generation=1,
            digest=_digest(self._tokens.make(family_id, salt, 1)),
            created_at=now,
            rotated_at=now,
            token_expires_at=min(expires_at, self._token_end(now)),
            expires_at=expires_at,
        )

    def _check(self, access_token: str) -> None:
        """Hold a token of ours against our own rules, so that none is handed out that would be refused."""
        try:
            self._verifier.connection(access_token)
        except InvalidToken as exc:
            raise BadInput("claims", str(exc)) from None
        except TokenExpired:
            pass  # the user's tokens of this very second were revoked: the next ones count

    async def _authenticate(self, text: str) -> tuple[RefreshToken, TokenFamily]:
        """Find whose token it is, and see that it is one of ours; whether it may be used is another question."""
        token = RefreshToken.parse(text)
        if token is None:
            raise RefreshRefused("no refresh token")
        family = await self._families.find(token.family_id)
        if family is None:
            raise RefreshRefused("of no family")
        # The current one is known by its digest also when the key that made it is gone.
        is_ours = token.number == family.generation and hmac.compare_digest(_digest(text), family.digest)
        for made in self._tokens.made(family.id, family.salt, token.number):
            is_ours |= token.number <= family.generation and hmac.compare_digest(made, text)
        if not is_ours:
            raise RefreshRefused("forged", family)
        return token, family

    async def _require_life(self, family: TokenFamily) -> None:
        if family.lives(self._clock.now()):
            return
        if family.ended_at is not None:
            await self._distrust(family)  # whoever ended it may have been ended before that
        raise RefreshRefused(f"ended: {family.reason}" if family.reason else "expired", family)

    async def _require_trust(self, family: TokenFamily) -> None:
        """See that the user is let in, and that the login was not taken out of use as its access tokens were."""
        if self._revocation.is_blocked(family.user):
            raise RefreshRefused("the user is blocked", family)
        issued_at = family.created_at.timestamp()
        if self._revocation.is_revoked(user=family.user, token_id=family.id, issued_at=issued_at):
            await self._families.end(family.id, EndReason.TOKENS_REVOKED, at=self._clock.now())
            raise RefreshRefused("the user's tokens were revoked", family)

    async def _rotate(self, family: TokenFamily) -> TokenFamily | None:
        """Put the next token in place; None where somebody else was faster."""
        now = self._clock.now()
        digest = _digest(self._tokens.make(family.id, family.salt, family.generation + 1))
        token_expires_at = min(family.expires_at, self._token_end(now))
        if not await self._families.rotate(family, digest, at=now, token_expires_at=token_expires_at):
            return None
        return msgspec.structs.replace(
            family, generation=family.generation + 1, digest=digest, rotated_at=now, token_expires_at=token_expires_at
        )

    async def _again(self, family: TokenFamily) -> TokenFamily:
        found = await self._families.find(family.id)
        if found is None:
            raise RefreshRefused("of no family")
        await self._require_life(found)
        return found

    def _was_just_used(self, token: RefreshToken, family: TokenFamily) -> bool:
        used_s = (self._clock.now() - family.rotated_at).total_seconds()
        return token.number == family.generation - 1 and used_s < self._settings.retry_grace

    async def _end(self, family_id: str, reason: EndReason) -> TokenFamily | None:
        """End a login in the store first, so that it is refreshed no more; then its access tokens, and who came by them."""
        family = await self._families.end(family_id, reason, at=self._clock.now())
        if family is not None:
            await self._distrust(family)
        return family

    async def _distrust(self, family: TokenFamily) -> None:
        """Take the access tokens of a login that has ended out of use, unless that was done or their time is over."""
        assert family.ended_at is not None
        until = family.ended_at.timestamp() + family.access_ttl_s + _SLACK_S
        is_known = self._revocation.is_revoked(user="", token_id=family.id, issued_at=math.inf)
        if is_known or until <= self._clock.now().timestamp():
            return
        try:
            await self._revocation.revoke_token(family.id, until=until)
        finally:
            await self._control.send(Distrust(token_id=family.id))

    def _give(self, family: TokenFamily, outcome: Outcome) -> Pair:
        pair = self._pair(family)
        self.counts[outcome] += 1
        return pair

    def _pair(self, family: TokenFamily) -> Pair:
        """Make the pair that a family has; asked twice, it is the same but for what is left of its time."""
        now, refresh_token = self._clock.now(), self._current(family)
        access_end = family.rotated_at + timedelta(seconds=family.access_ttl_s)
        return Pair(
            family.id,
            self._signer.sign(family, family.rotated_at),
            (access_end - now).total_seconds(),
            refresh_token,
            (family.token_expires_at - now).total_seconds(),
        )

    def _current(self, family: TokenFamily) -> str:
        """Make the next token to be used again, by the key that it was made by."""
        for made in self._tokens.made(family.id, family.salt, family.generation):
            if hmac.compare_digest(_digest(made), family.digest):
                return made
        raise RefreshRefused("made by a key that is gone", family)

    def _token_end(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.refresh_ttl)


def _checked(claims: msgspec.Raw) -> bytes:
    """Hold claims against the rules that are ours alone; the rest is left to the check of the whole token."""
    written = bytes(claims) or b"{}"
    if len(written) > CLAIMS_MAX_BYTES:
        raise BadInput("claims", f"must be at most {CLAIMS_MAX_BYTES} bytes")
    try:
        members = msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadInput("claims", "must be an object") from None
    if taken := sorted(RESERVED_CLAIMS & members.keys()):
        raise BadInput("claims", f"must not hold {', '.join(taken)}")
    return written


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
