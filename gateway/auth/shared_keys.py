"""Documents of issuers that the nodes of a fleet share, so that one that starts while an issuer is down can judge its tokens.

Whoever can write where they lie could otherwise name keys of his own, and sign with them as anybody. So each document lies
there with an HMAC under a key that is derived from a secret of the settings; without one nothing is shared. What is signed
is the document, the address that it was fetched from and the moment: one that was moved to another issuer's place, or is too
old, counts as none. What remains to such a writer is to take documents away, and to put back one that its issuer published
within `longest`; it is believed only by nodes that hold nothing newer and cannot reach the issuer.

Documents are read by the same strict rules as fetched ones (`gateway.auth.jwks`), and by nobody whose own fetch went well.
"""

import hmac
from typing import Final

import msgspec

from broker.cache import SharedCache
from broker.caching.second_level import SecondLevel
from config.clock import Clock
from config.token_settings import SharedIssuerKeysSettings
from gateway.auth.jwks_client import DOCUMENT_LIMIT

__all__ = ["SharedDocument", "SharedDocuments", "shared_documents"]

_CACHE: Final = "issuer_keys"
_PURPOSE: Final = b"heliograph issuer keys 1"
_TAG_BYTES: Final = 32
# The clocks of nodes may differ by so much; what is said to come from later is not believed.
_SKEW_S: Final = 60.0
_MOST_BYTES: Final = DOCUMENT_LIMIT + 8192


class SharedDocument(msgspec.Struct, frozen=True, array_like=True):
    """What an issuer published: the address asked, when in Unix seconds, and the answer as it came."""

    address: str
    fetched_at: float
    document: bytes


class SharedDocuments:
    """Puts documents where all nodes find them, and finds them there. Neither fails: then nothing is shared for a moment."""

    def __init__(self, shared: SharedCache, settings: SharedIssuerKeysSettings, clock: Clock) -> None:
        """Make it; `settings` must have a secret."""
        self._clock, self._longest_s = clock, settings.longest
        codec = _Sealed(settings.secret.get_secret_value().encode())
        self._level: SecondLevel[SharedDocument] = SecondLevel(_CACHE, shared, codec, clock, life_s=settings.longest)

    async def find(self, address: str) -> SharedDocument | None:
        """Look for the document of an address; None where there is none that can be believed."""
        found = await self._level.get((address, ""))
        document = None if found is None else self._level.read(found)
        if document is None or document.address != address:
            return None
        age_s = self._clock.now().timestamp() - document.fetched_at
        return document if -_SKEW_S <= age_s < self._longest_s else None

    async def share(self, address: str, document: bytes) -> None:
        """Let the others have what was just fetched and found good."""
        # The level takes nothing from whoever does not know how its home stands.
        if (found := await self._level.get((address, ""))) is None:
            return
        fetched = SharedDocument(address, self._clock.now().timestamp(), document)
        await self._level.put((address, ""), fetched, self._longest_s, found.generation)


def shared_documents(fleet: SharedCache | None, settings: SharedIssuerKeysSettings, clock: Clock) -> SharedDocuments | None:
    """Make what the settings ask for; None where there is no secret, or nobody to share with."""
    if fleet is None or not fleet.is_there or not settings.secret.get_secret_value():
        return None
    return SharedDocuments(fleet, settings, clock)


class _Sealed:
    """Writes a document behind its HMAC; plays `broker.caching.second_level.Codec`."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(SharedDocument).decode

    def encode(self, value: SharedDocument) -> bytes:
        body = self._encode(value)
        return self._tag(body) + body

    def decode(self, data: bytes) -> SharedDocument:
        tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if len(data) > _MOST_BYTES or not hmac.compare_digest(tag, self._tag(body)):
            raise msgspec.ValidationError("was not written with our secret")
        return self._decode(body)

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")
