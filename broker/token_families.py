"""Port: logins. A family is all refresh tokens that follow from one another, each used once, and the access tokens beside them.

Nothing is stored that opens anything. Of the refresh token that is next to be used, the store has a SHA-256; all tokens of a
family are made of its salt by a key that the store does not have (`gateway.issuing.refresh_token`). So one that was used long
ago is known again without being kept, and a family costs one row however often it is refreshed.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = ["EndReason", "TokenFamilies", "TokenFamily"]


class EndReason(StrEnum):
    """Why a family was ended before its time."""

    REUSED = "reused"
    LOGOUT = "logout"
    API = "api"
    TOKENS_REVOKED = "tokens_revoked"


class TokenFamily(msgspec.Struct, frozen=True):
    """One login.

    Attributes:
        id: Also the `jti` of its access tokens, so that one word takes all of them out of use.
        claims: What access tokens say beside who they speak for: a JSON object.
        generation: Which refresh token is next to be used; the first one is 1.
        digest: SHA-256 of that token.
        rotated_at: When that token was made.
        token_expires_at: From when on it counts no more; renewed with each.
        expires_at: From when on the family counts no more.
        ended_at: When it was ended before its time, and why; None while it lives.
    """

    id: str
    user: str
    claims: bytes
    access_ttl_s: float
    salt: bytes
    generation: int
    digest: bytes
    created_at: datetime
    rotated_at: datetime
    token_expires_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    reason: str = ""

    def lives(self, now: datetime) -> bool:
        """Whether it can be refreshed."""
        return self.ended_at is None and now < min(self.token_expires_at, self.expires_at)


class TokenFamilies(Protocol):
    """Families, until some time after they have ended. All methods raise `StoreUnavailable`."""

    async def open(self, family: TokenFamily) -> None:
        """Keep a new one, and forget some of those whose time is over.

        Raises:
            BadInput: The user's id cannot be stored.
        """

    async def find(self, family_id: str) -> TokenFamily | None:
        """Find one, whether it lives or has ended."""

    async def rotate(self, family: TokenFamily, digest: bytes, *, at: datetime, token_expires_at: datetime) -> bool:
        """Put the next refresh token in place of the one that `family` knows; of two who do it at the same time, one does.

        Returns:
            False where it was done already, or the family has ended meanwhile: nothing was changed.
        """

    async def end(self, family_id: str, reason: EndReason, *, at: datetime) -> TokenFamily | None:
        """End one; the first reason stays. Tells the family as it is then, None where there is none.

        Ending one that has ended is no error, so that whoever failed halfway can do it again.
        """

    async def of_user(self, user: str, *, limit: int, only_open: bool = False) -> Sequence[TokenFamily]:
        """List a user's families, the newest first; with `only_open` those alone that nobody has ended."""
