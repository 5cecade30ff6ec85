"""What a refresh token is made of: its family, its number in it, and a proof that only we can make.

`hrt_<family>_<number>_<proof>`. The proof is an HMAC-SHA-256 over both, under a key that is made of our signing key and the
family's salt: neither the store alone nor the key alone gives a token. It needs no row to be known again, so that one which was
used long ago is told from one that never was; and the next one can be made again for whoever did not get the answer.
"""

import hmac
import re
from typing import Final

import msgspec

__all__ = ["RefreshToken", "RefreshTokens"]

_PURPOSE: Final = b"heliograph refresh token"
_FORM: Final = re.compile(r"hrt_([0-9a-f]{32})_([1-9][0-9]{0,8})_([0-9a-f]{64})")


class RefreshToken(msgspec.Struct, frozen=True):
    """A token as it was read; whether its proof holds is another question."""

    family_id: str
    number: int
    text: str

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """Read a token; None for whatever else."""
        found = _FORM.fullmatch(text)
        return None if found is None else cls(found[1], int(found[2]), text)


class RefreshTokens:
    """Makes and knows refresh tokens.

    Args:
        secrets: Our signing keys, the newest first, as they stand in the settings.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._keys = [hmac.digest(_PURPOSE, secret.encode(), "sha256") for secret in secrets]

    def make(self, family_id: str, salt: bytes, number: int) -> str:
        """Make a token of a family, always the same."""
        return _make(self._keys[0], family_id, salt, number)

    def made(self, family_id: str, salt: bytes, number: int) -> list[str]:
        """Make a token as it would have been made by each of our keys, the newest first."""
        return [_make(key, family_id, salt, number) for key in self._keys]


def _make(key: bytes, family_id: str, salt: bytes, number: int) -> str:
    proof = hmac.digest(hmac.digest(key, salt, "sha256"), f"{family_id}_{number}".encode(), "sha256")
    return f"hrt_{family_id}_{number}_{proof.hex()}"
