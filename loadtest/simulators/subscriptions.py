"""Simulated browsers: Web Push subscriptions whose keys follow from a seed and the token, so that none needs storing.

A token reads `<name>-<random>-<tag>`; the tag proves that it was minted with this seed. RFC 8291 and RFC 8188 name the steps.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["Subscription", "SubscriptionKeys", "Subscriptions", "Undecryptable"]

_ORIGIN: Final = "https://push.simulator.test"
_PATH: Final = "/p/"
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SP 800-186 §3.2.1.3
_HEADER_BYTES: Final = 86  # salt 16, record size 4, id length 1, key 65
_EMPTY_RECORD_BYTES: Final = 17  # the delimiter and the tag


class SubscriptionKeys(msgspec.Struct, frozen=True):
    """Public key and authentication secret of a browser, base64url without padding."""

    p256dh: str
    auth: str


class Subscription(msgspec.Struct, frozen=True):
    """What a browser hands to an application: JSON as in the Push API."""

    endpoint: str
    keys: SubscriptionKeys


class Undecryptable(Exception):
    """The body is no aes128gcm record for this subscription; the text says what is wrong with it."""


class _Device:
    """The private side of a subscription."""

    __slots__ = ("auth", "key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey, auth: bytes) -> None:
        self.key = key
        self.auth = auth
        self.public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Subscriptions:
    """Mints subscriptions and plays the browsers behind them."""

    def __init__(self, seed: str, *, remembered: int = 10_000) -> None:
        self._seed = bytes.fromhex(seed)
        self._remembered = remembered  # derived keys kept at hand; the others are derived again
        self._devices: OrderedDict[str, _Device] = OrderedDict()

    def mint(self, name: str, unique: str) -> Subscription:
        """Make the subscription of a new browser; `unique` sets apart those of one name.

        Characters of `name` that an endpoint cannot hold become dashes; it keeps at most 64.
        """
        stem = f"{re.sub('[^A-Za-z0-9_-]', '-', name)[:64] or 'device'}-{unique}"
        token = f"{stem}-{self._tag(stem)}"
        device = self._device(token)
        return Subscription(f"{_ORIGIN}{_PATH}{token}", SubscriptionKeys(_encode(device.public), _encode(device.auth)))

    def token_of(self, path: str) -> str | None:
        """Read the token of a subscription minted here out of a request's path; None for any other."""
        token = path.removeprefix(_PATH)
        if token in self._devices and path.startswith(_PATH):
            return token  # found out before, which a tag would only tell again
        stem, _, tag = token.rpartition("-")
        return token if path.startswith(_PATH) and hmac.compare_digest(tag.encode(), self._tag(stem).encode()) else None

    def decrypt(self, token: str, body: bytes) -> bytes:
        """Decrypt one message as the browser would.

        Raises:
            Undecryptable: It was not encrypted for this subscription, or not by the rules.
        """
        if len(body) < _HEADER_BYTES + _EMPTY_RECORD_BYTES:
            raise Undecryptable("shorter than a header and an empty record")
        salt, record_size, id_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21:_HEADER_BYTES], body[_HEADER_BYTES:]
        if id_length != 65:
            raise Undecryptable("the key id must be an uncompressed P-256 point")
        if len(record) > record_size:
            raise Undecryptable("RFC 8291 §4 allows one record only")
        device = self._device(token)
        try:
            shared = device.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
            secret = _derive(device.auth, b"WebPush: info\0" + device.public + sender, shared, 32)
            key = _derive(salt, b"Content-Encoding: aes128gcm\0", secret, 16)
            nonce = _derive(salt, b"Content-Encoding: nonce\0", secret, 12)
            padded = AESGCM(key).decrypt(nonce, record, None)
        except (InvalidTag, ValueError) as exc:
            raise Undecryptable("not encrypted for this subscription") from exc
        plaintext = padded.rstrip(b"\0")
        if not plaintext.endswith(b"\2"):  # RFC 8188 §2: the delimiter of a last record
            raise Undecryptable("the padding delimiter of a last record is missing")
        return plaintext[:-1]

    def _device(self, token: str) -> _Device:
        device = self._devices.get(token)
        if device is None:
            scalar = int.from_bytes(_derive(self._seed, b"key:" + token.encode(), self._seed, 48), "big")
            # 48 bytes reduced modulo 32 leave no bias worth the name (FIPS 186-5 A.2.1).
            key = ec.derive_private_key(scalar % (_ORDER - 1) + 1, ec.SECP256R1())
            device = _Device(key, _derive(self._seed, b"auth:" + token.encode(), self._seed, 16))
            if len(self._devices) >= self._remembered:
                self._devices.popitem(last=False)
            self._devices[token] = device
        return device

    def _tag(self, stem: str) -> str:
        return hmac.digest(self._seed, b"tag:" + stem.encode(), "sha256")[:8].hex()


def _derive(salt: bytes, info: bytes, secret: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
