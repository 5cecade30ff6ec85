"""The provider token of APNs: a JWT that says which team sends, signed with the team's key."""

from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["RENEW_AFTER", "ProviderToken", "ProviderTokens"]

# Apple refuses a token older than an hour, and a new one sooner than 20 minutes after the last.
RENEW_AFTER: Final = timedelta(minutes=45)


class ProviderToken:
    """The current token of one (team, key): signed once and used by every call until it is renewed."""

    def __init__(self, team_id: str, key_id: str, key: ec.EllipticCurvePrivateKey) -> None:
        self._team_id = team_id
        self._key_id = key_id
        self._key = key
        self._token = ""
        self._issued_at: datetime | None = None
        self._replaces_refused = False

    def current(self, now: datetime) -> str:
        """Give the token to send with."""
        if self._issued_at is None or not timedelta(0) <= now - self._issued_at < RENEW_AFTER:
            self._sign(now)
        return self._token

    def replace(self, refused: str, now: datetime) -> bool:
        """Answer that Apple calls `refused` expired: sign another, but once.

        Returns:
            Whether another try makes sense; False when it was a replacement itself, which means that a clock is wrong.
        """
        if refused != self._token:
            return True  # another call has replaced it already
        if self._replaces_refused:
            return False
        self._sign(now)
        self._replaces_refused = True
        return True

    def _sign(self, now: datetime) -> None:
        claims = {"iss": self._team_id, "iat": int(now.timestamp())}
        self._token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})
        self._issued_at = now
        self._replaces_refused = False


class ProviderTokens:
    """The tokens of a process: one for each team and key, whatever the number of apps and however often they are built anew.

    Apple counts the tokens of a team, and refuses those that come too often.
    """

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str, bytes], ProviderToken] = {}

    def of(self, team_id: str, key_id: str, key: ec.EllipticCurvePrivateKey) -> ProviderToken:
        """Give the token of a team and key, the same to all who ask."""
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return self._tokens.setdefault((team_id, key_id, public), ProviderToken(team_id, key_id, key))
