"""Revoked tokens and blocked users of a single process; a new process has forgotten them."""

from broker.engines.memory.words import Words
from config.clock import Clock

__all__ = ["MemoryRevocation"]


class MemoryRevocation:
    """The port Revocation. Times are Unix seconds, as in the tokens themselves."""

    def __init__(self, clock: Clock) -> None:
        self._words = Words(clock)

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return self._words.is_revoked(user=user, token_id=token_id, issued_at=issued_at, channel=channel)

    def is_blocked(self, user: str) -> bool:
        return self._words.is_blocked(user)

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        self._words.refuse_token(token_id, until=until)

    async def revoke_user_tokens(self, user: str, *, issued_before: float, until: float, channel: str = "") -> None:
        self._words.refuse_older(user, channel, issued_before=issued_before, until=until)

    async def block_user(self, user: str, *, until: float) -> None:
        self._words.block(user, until=until)

    async def unblock_user(self, user: str) -> None:
        self._words.unblock(user)

    def clear(self) -> None:
        """Trust everybody again."""
        self._words.clear()

    def __len__(self) -> int:
        """Count the tokens and users that are held."""
        return len(self._words)
