"""Port: tokens and users that are no longer trusted although their signatures hold."""

from typing import Protocol

__all__ = ["Revocation"]


class Revocation(Protocol):
    """Asked at every connect and refresh; answered from memory, never by a call to the outside."""

    def is_revoked(self, *, user: str, token_id: str, issued_at: float) -> bool:
        """Tell whether a token must be refused.

        Args:
            user: The user it speaks for.
            token_id: Its `jti`, "" for none.
            issued_at: Its `iat` in Unix seconds, 0 for none.
        """
