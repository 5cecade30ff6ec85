"""Web Push message encryption: RFC 8291 over the content coding aes128gcm of RFC 8188, always one record."""

import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["Receiver", "encrypt"]

_RECORD_BYTES = 4096
_LAST_RECORD = b"\x02"  # RFC 8188 §2: the delimiter of the last record


class Receiver:
    """Whom messages are encrypted for: a subscription's `p256dh`, a point of P-256, and its `auth`, 16 bytes."""

    __slots__ = ("key", "point", "secret")

    def __init__(self, key: ec.EllipticCurvePublicKey, secret: bytes) -> None:
        self.key, self.secret = key, secret
        self.point = _point(key)


def encrypt(
    plaintext: bytes,
    receiver: Receiver,
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Encrypt for one subscription.

    Args:
        plaintext: At most 3,993 bytes, so that it fits one record; the caller checks it.
        sender: The key of this message alone; given only to repeat known examples, like `salt` (16 bytes).
    """
    sender = sender or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(16)
    public = _point(sender.public_key())
    shared = sender.exchange(ec.ECDH(), receiver.key)
    # RFC 8291 §3.4, then RFC 8188 §2.2 and §2.3.
    key = _derive(shared, receiver.secret, b"WebPush: info\x00" + receiver.point + public, 32)
    content_key = _derive(key, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derive(key, salt, b"Content-Encoding: nonce\x00", 12)
    record = AESGCM(content_key).encrypt(nonce, plaintext + _LAST_RECORD, None)
    return salt + _RECORD_BYTES.to_bytes(4, "big") + bytes([len(public)]) + public + record


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derive(material: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(hashes.SHA256(), size, salt, info).derive(material)
