"""Port: tokens and users that are no longer let in although their signatures hold."""

from typing import Protocol

__all__ = ["Revocation"]


class Revocation(Protocol):
    """Asked at every connect and refresh; answered from memory, never by a call to the outside."""

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        """Tell whether a token must be refused.

        Args:
            user: The user it speaks for.
            token_id: Its `jti`, "" for none.
            issued_at: Its `iat` in Unix seconds, 0 for none.
            channel: The channel that a subscription token is for, "" for a connection token.
        """

    def is_blocked(self, user: str) -> bool:
        """Tell whether a user may not connect, whatever the token says."""

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        """Refuse one token, on every node, until its own expiry `until` (Unix seconds, or infinity); never shortens an
        earlier word.

        Raises:
            BadInput: `token_id` is empty.
            EngineUnavailable: Whether the other nodes know is unknown; saying it again is safe.
        """

    async def revoke_user_tokens(self, user: str, *, issued_before: float, until: float, channel: str = "") -> None:
        """Refuse a user's tokens issued before a moment, and those that do not say when; never weakens an earlier word.

        Args:
            issued_before: Unix seconds; a token issued at this very second is trusted.
            until: Unix seconds, or infinity, after which every such token has expired by itself and the word is forgotten.
            channel: Only subscription tokens for this channel; "" for all of the user's tokens.
        Raises:
            EngineUnavailable: Whether the other nodes know is unknown; saying it again is safe.
        """

    async def block_user(self, user: str, *, until: float) -> None:
        """Keep a user out, on every node, until `until` (Unix seconds, or infinity); the latest word counts.

        Raises:
            BadInput: `user` is empty: anonymous clients are not one user.
            EngineUnavailable: Whether the other nodes know is unknown; saying it again is safe.
        """

    async def unblock_user(self, user: str) -> None:
        """Let a user in again; one who was not blocked is no error.

        Raises:
            EngineUnavailable: Whether the other nodes know is unknown; saying it again is safe.
        """
