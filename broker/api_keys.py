"""Port: keys of the HTTP API, and what each may do.

A key is told once, when it is made: `hgk_<id>_<secret>`. The id is public; it finds the row, and is what lists and logs show.
Of the secret only a hash is kept: HMAC-SHA-256 under the id. A fast hash is right here: the secret is 256 random bits, which
nobody finds by trying, however fast that is; what slow hashes (scrypt, Argon2) make up for is the choice of people. A slow one
would cost each call of the API more than the call itself, and hand strangers a way to keep all cores busy. With the id as the
hash's key, hashes of two rows say nothing about each other, and a table made beforehand fits none.
"""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from broker.errors import BadInput

__all__ = [
    "KEYS_MAX",
    "ApiKey",
    "ApiKeyGrant",
    "ApiKeys",
    "check_key_name",
    "hash_of",
    "is_secret_of",
    "make_key",
    "renew_key",
    "split_key",
]

# All of them are held by every node.
KEYS_MAX: Final = 10_000

_PREFIX: Final = "hgk"
_ID: Final = re.compile(r"[0-9a-f]{16}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TEXT_MAX: Final = 128


class ApiKeyGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key may do.

    Attributes:
        name: Whose it is, in logs and metrics; no two keys have the same.
        role: Whose permissions to `call` methods it has beside its own; "" for none.
        methods: Methods of the API that it may call, by name or by pattern (`device_*`).
        channels: Patterns of the channels that it may name in them; empty for all.
        expires_at: From when on it opens nothing.
        rate_per_s, burst: How often it may call on average, and at once; 0 per second for no limit of its own.
    """

    name: str
    role: str = ""
    methods: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    expires_at: datetime | None = None
    rate_per_s: float = 0.0
    burst: int = 0


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is kept. While it is being replaced, the secret before it counts until a moment as well."""

    id: str
    grant: ApiKeyGrant
    hash: bytes
    created_at: datetime
    previous_hash: bytes = b""
    previous_until: datetime | None = None
    rotated_at: datetime | None = None
    last_used_at: datetime | None = None


class ApiKeys(Protocol):
    """The keys. All methods raise `StoreUnavailable`; those that change something tell the subject's new version."""

    async def add(self, key: ApiKey) -> int:
        """Keep a new key.

        Raises:
            BadInput: Naming `name`: another key has it, or there are `KEYS_MAX` keys.
        """

    async def rotate(self, key_id: str, new_hash: bytes, *, at: datetime, previous_until: datetime) -> int:
        """Give a key another secret; the one that it had counts until then, and the one before that no more.

        Raises:
            NotFound: There is no such key.
        """

    async def revoke(self, key_id: str) -> int:
        """Forget a key.

        Raises:
            NotFound: There is no such key.
        """

    async def all(self) -> Sequence[ApiKey]:
        """List the keys in the order of their names."""

    async def note_use(self, last_used_at_by_id: Mapping[str, datetime]) -> None:
        """Say when keys were last used; an earlier moment than the known one changes nothing, nor does an unknown key."""


def make_key() -> tuple[str, str]:
    """Draw a new key: its id, and its whole text."""
    key_id = secrets.token_hex(8)
    return key_id, renew_key(key_id)


def renew_key(key_id: str) -> str:
    """Draw a new secret for a key: the whole text of it."""
    return f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def split_key(text: str) -> tuple[str, str] | None:
    """Read a key's text: its id and its secret; None for whatever else."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    is_key = prefix == _PREFIX and len(text) <= _TEXT_MAX and text.isascii() and _ID.fullmatch(key_id) and secret
    return (key_id, secret) if is_key else None


def hash_of(key_id: str, secret: str) -> bytes:
    """Hash a key's secret, as it is kept."""
    return hmac.digest(key_id.encode(), secret.encode(), "sha256")


def is_secret_of(key: ApiKey, secret: str, now: datetime) -> bool:
    """Whether a secret is that of a key, or the one before it in its time. Takes as long whichever differs, and where."""
    found = hash_of(key.id, secret)
    is_current = hmac.compare_digest(found, key.hash)
    is_previous = hmac.compare_digest(found, key.previous_hash)
    return is_current or (is_previous and key.previous_until is not None and now < key.previous_until)


def check_key_name(name: str) -> str:
    """Hold a key's name against the rules.

    Raises:
        BadInput: Naming `name`.
    """
    if not _NAME.fullmatch(name):
        raise BadInput("name", "must be 1 to 64 letters, digits and _.- and begin with a letter or digit")
    return name
