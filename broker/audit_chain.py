"""How records of the audit hang together: what is hashed, and with what.

A record's hash covers the hash before it and every field of its own, so that nothing can be changed, moved, put in or taken out
without all that follows it. Fields are written as netstrings (their length, a colon, their UTF-8 bytes, a comma): one way to
write them, which any language can repeat.

Without a key the hash is SHA-256, which whoever writes the store can compute as well; it then takes an anchor kept elsewhere
to find a chain that was made anew. With a key it is HMAC-SHA-256. What was cut off at the end cannot be seen in what is left:
the head, kept beside the chain and signed likewise, tells of it, and an anchor does where the head was taken back too.

A user is not in the chain. A subject stands for it: the digest of its id under a secret of its own. Whoever has the secret can
check the two against each other; once it is erased, nobody can say who it was.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

__all__ = ["FIELDS", "GENESIS", "Signer", "address_digest", "new_secret", "subject_of"]

# What the first record follows.
GENESIS: Final = "0" * 64
# The columns that the hash covers, in the order in which they are written.
FIELDS: Final = (
    "sequence",
    "at",
    "actor_kind",
    "actor",
    "subject",
    "action",
    "resource",
    "decision",
    "rule",
    "correlation_id",
    "transport",
    "node",
    "details",
    "address_digest",
    "key_id",
)

_RECORD: Final = "heliograph audit record 1"
_HEAD: Final = "heliograph audit head 1"
_SUBJECT: Final = "heliograph audit subject 1"
_ADDRESS: Final = "heliograph audit address 1"
_KEY: Final = "heliograph audit key 1"


class Signer:
    """Makes hashes with the key in use, and checks those of all keys that are known.

    Args:
        keys: The one in use, empty for plain hashes, then previous ones.
    """

    def __init__(self, keys: Sequence[bytes] = (b"",)) -> None:
        self._keys = {_key_id(key): key for key in keys if key}
        self.key_id = _key_id(keys[0]) if keys[0] else ""
        """Names the key in use in each record; empty for none."""

    def knows(self, key_id: str) -> bool:
        """Whether hashes of a key can be made; those of none can always."""
        return not key_id or key_id in self._keys

    def record_hash(self, previous: str, fields: Sequence[object], key_id: str) -> str:
        """Hash a record: its values in the order of `FIELDS`, behind the hash of the one before."""
        return self._digest(key_id, _RECORD, previous, *fields)

    def head_seal(self, sequence: int, record_hash: str, key_id: str) -> str:
        """Sign that a record is the newest one."""
        return self._digest(key_id, _HEAD, sequence, record_hash, key_id)

    def _digest(self, key_id: str, *values: object) -> str:
        data = _netstrings(*values)
        if not key_id:
            return hashlib.sha256(data).hexdigest()
        return hmac.digest(self._keys[key_id], data, "sha256").hex()


def new_secret() -> str:
    """Draw a user's secret."""
    return secrets.token_hex(32)


def subject_of(user: str, secret: str) -> str:
    """Tell what stands for a user: 32 hexadecimal digits."""
    return hmac.digest(secret.encode(), _netstrings(_SUBJECT, user), "sha256").hex()[:32]


def address_digest(address: str, secret: str) -> str:
    """Tell what stands for an address, empty for none; a record without a user has no secret."""
    return hmac.digest(secret.encode(), _netstrings(_ADDRESS, address), "sha256").hex() if address else ""


def _key_id(key: bytes) -> str:
    return hashlib.sha256(_netstrings(_KEY) + key).hexdigest()[:16]


def _netstrings(*values: object) -> bytes:
    texts = [str(value).encode() for value in values]
    return b"".join(b"%d:%b," % (len(text), text) for text in texts)
