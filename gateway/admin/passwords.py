"""Passwords of operators, kept as scrypt hashes (RFC 7914): `scrypt$log2(n)$r$p$salt$digest`.

The cost stands in each hash, so that it can rise without making old ones worthless. A name that nobody has is answered after
the same work as one that somebody has: neither the answer nor its time tells which names there are.
"""

import base64
import hmac
import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from config.admin_settings import PASSWORD_HASH, AdminUserSettings

__all__ = ["PASSWORD_MAX_BYTES", "PASSWORD_MIN_CHARS", "Cost", "Passwords", "hash_password"]

PASSWORD_MIN_CHARS: Final = 12
PASSWORD_MAX_BYTES: Final = 1024
_DIGEST_BYTES: Final = 32
_SALT_BYTES: Final = 16


class Cost(msgspec.Struct, frozen=True):
    """What a hash costs to make: 128 · r · 2^log_n bytes of memory, p times over."""

    log_n: int = 15
    r: int = 8
    p: int = 3


_USUAL: Final = Cost()


def hash_password(password: str, cost: Cost = _USUAL, *, salt: bytes = b"") -> str:
    """Make the text that the settings hold, by a moment of work; `salt` is given where the same text must come again."""
    salt = salt or os.urandom(_SALT_BYTES)
    digest = _digest(password, salt, cost)
    return f"scrypt${cost.log_n}${cost.r}${cost.p}${_text(salt)}${_text(digest)}"


class Passwords:
    """Judges logins."""

    def __init__(self, users: Sequence[AdminUserSettings]) -> None:
        self._hashes = {user.name: user.password_hash.get_secret_value() for user in users}
        # Nobody's: as dear as that of the first user, and made of chance.
        cost = _read(next(iter(self._hashes.values())))[0] if self._hashes else _USUAL
        self._nobodys = (cost, os.urandom(_SALT_BYTES), os.urandom(_DIGEST_BYTES))

    def knows(self, name: str) -> bool:
        """Whether a user has this name; for the audit, never for an answer."""
        return name in self._hashes

    def fits(self, name: str, password: str) -> bool:
        """Tell whether a user has this password. Blocks for the work of a hash: call it in a thread."""
        written = self._hashes.get(name)
        cost, salt, digest = self._nobodys if written is None else _read(written)
        is_equal = hmac.compare_digest(_digest(password, salt, cost), digest)
        return is_equal and written is not None


def _read(written: str) -> tuple[Cost, bytes, bytes]:
    found = PASSWORD_HASH.fullmatch(written)
    assert found is not None, "the settings were checked"
    return Cost(int(found[1]), int(found[2]), int(found[3])), _bytes(found[4]), _bytes(found[5])


def _digest(password: str, salt: bytes, cost: Cost) -> bytes:
    return Scrypt(salt, _DIGEST_BYTES, 2**cost.log_n, cost.r, cost.p).derive(password.encode(errors="surrogatepass"))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
