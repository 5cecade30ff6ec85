"""Port: words about who is not let in, kept so that they hold after every process and server was started anew."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = ["RevocationRecords", "RevocationWord", "WordKind"]


class WordKind(StrEnum):
    """What a word is about."""

    TOKEN = "token"  # noqa: S105  # a kind, no token
    USER_TOKENS = "user_tokens"
    BLOCK = "block"


class RevocationWord(msgspec.Struct, frozen=True):
    """One word of the port Revocation.

    Attributes:
        subject: The token's id, or the user.
        channel: Of words about a user's tokens for one channel; else empty.
        issued_before: Of words about a user's tokens, in Unix seconds; else 0.
        until: When it is forgotten, in Unix seconds, or infinity.
    """

    kind: WordKind
    subject: str
    until: float
    channel: str = ""
    issued_before: float = 0.0


class RevocationRecords(Protocol):
    """The words that count. All methods raise `StoreUnavailable`: whether anything was changed is unknown then."""

    async def keep(self, word: RevocationWord) -> None:
        """Keep a word. One about tokens never weakens an earlier one; of those about a block the latest counts.

        Raises:
            BadInput: The subject cannot be stored.
        """

    async def forget_block(self, user: str) -> None:
        """Forget that a user is blocked; one who is not is no error."""

    async def all(self) -> Sequence[RevocationWord]:
        """List the words that have not been forgotten."""
