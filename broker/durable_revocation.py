"""The port Revocation, on an engine that is fast and a store that does not forget.

The engine tells every node within moments, and is asked at every connect. It may lose its words: the memory engine with its
process, a Redis that keeps nothing with its server. So each word is also a row of the store, and whoever starts says again what
the engine no longer knows.
"""

import asyncio
import math
from collections.abc import Awaitable
from typing import Final

from broker.errors import Unavailable
from broker.revocation import Revocation
from broker.revocation_records import RevocationRecords, RevocationWord, WordKind
from config.logs import get_logger

__all__ = ["DurableRevocation"]

_log = get_logger()
_AT_ONCE: Final = 100


class DurableRevocation:
    """Plays `broker.revocation.Revocation`; its changes also raise `StoreUnavailable`, and are then to be repeated."""

    def __init__(self, engine: Revocation, records: RevocationRecords) -> None:
        self._engine, self._records = engine, records

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return self._engine.is_revoked(user=user, token_id=token_id, issued_at=issued_at, channel=channel)

    def is_blocked(self, user: str) -> bool:
        return self._engine.is_blocked(user)

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        word = RevocationWord(WordKind.TOKEN, token_id, until)
        await _both(self._say(word), self._records.keep(word))

    async def revoke_user_tokens(self, user: str, *, issued_before: float, until: float, channel: str = "") -> None:
        word = RevocationWord(WordKind.USER_TOKENS, user, until, channel, issued_before)
        await _both(self._say(word), self._records.keep(word))

    async def block_user(self, user: str, *, until: float) -> None:
        word = RevocationWord(WordKind.BLOCK, user, until)
        await _both(self._say(word), self._records.keep(word))

    async def unblock_user(self, user: str) -> None:
        await _both(self._engine.unblock_user(user), self._records.forget_block(user))

    async def restore(self) -> int:
        """Say again what the engine does not know; called when it has started, before anybody is let in. Tells how many.

        Raises:
            Unavailable: The engine or the store does not answer; nobody should be let in.
        """
        unknown = [word for word in await self._records.all() if not self._is_known(word)]
        for start in range(0, len(unknown), _AT_ONCE):
            await asyncio.gather(*(self._say(word) for word in unknown[start : start + _AT_ONCE]))
        if unknown:
            _log.info("revocations.restored", words=len(unknown))
        return len(unknown)

    def _is_known(self, word: RevocationWord) -> bool:
        match word.kind:
            case WordKind.TOKEN:
                return self.is_revoked(user="", token_id=word.subject, issued_at=math.inf)
            case WordKind.USER_TOKENS:
                just_before = math.nextafter(word.issued_before, -math.inf)
                return self.is_revoked(user=word.subject, token_id="", issued_at=just_before, channel=word.channel)
            case WordKind.BLOCK:
                return self.is_blocked(word.subject)

    def _say(self, word: RevocationWord) -> Awaitable[None]:
        match word.kind:
            case WordKind.TOKEN:
                return self._engine.revoke_token(word.subject, until=word.until)
            case WordKind.USER_TOKENS:
                return self._engine.revoke_user_tokens(
                    word.subject, issued_before=word.issued_before, until=word.until, channel=word.channel
                )
            case WordKind.BLOCK:
                return self._engine.block_user(word.subject, until=word.until)


async def _both(telling: Awaitable[None], keeping: Awaitable[None]) -> None:
    """Tell the engine first, since every moment counts; keep it also where that fails, since the word is meant to hold."""
    failure: Unavailable | None = None
    kept = asyncio.ensure_future(keeping)
    try:
        await telling
    except Unavailable as exc:
        failure = exc
    except BaseException:
        kept.cancel()
        await asyncio.wait({kept})
        raise
    await kept
    if failure is not None:
        raise failure
