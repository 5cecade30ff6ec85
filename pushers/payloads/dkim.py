"""DKIM signatures (RFC 6376, Ed25519 by RFC 8463): relaxed canonicalisation of header and body, SHA-256.

Normally the relay signs. Where it does not, mail is signed here, with every header that a reader sees or a mailbox acts on;
the most telling ones are signed as present just so often, so that nobody can add a second one on the way.
"""

import base64
import hashlib
import re
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

__all__ = ["DkimKey", "DkimSigner"]

DkimKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_SIGNED: Final = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"mime-version",
    b"content-type",
    b"auto-submitted",
)
_ONCE_MORE: Final = frozenset(_SIGNED[:7])  # RFC 6376 §8.15: a header that is added later breaks the signature
_LINE_CHARS: Final = 72
_BLANKS: Final = re.compile(rb"[ \t]+")


class DkimSigner:
    """Signs for one domain with one key, published as TXT at `<selector>._domainkey.<domain>`."""

    def __init__(self, domain: str, selector: str, key: DkimKey) -> None:
        self._domain, self._selector, self._key = domain, selector, key

    @property
    def is_slow(self) -> bool:
        """Whether a signature takes so long that it belongs into a thread: an RSA one takes ten times an Ed25519 one."""
        return isinstance(self._key, rsa.RSAPrivateKey)

    def sign(self, mail: bytes, *, timestamp: int) -> bytes:
        """Put the signature on top of a mail with CRLF line ends; `timestamp` in Unix seconds."""
        head, _, body = mail.partition(b"\r\n\r\n")
        headers = _split(head)
        names = [name for name in _SIGNED for _ in range(sum(name == own for own, _ in headers) + (name in _ONCE_MORE))]
        lines = (
            f"DKIM-Signature: v=1; a={'rsa' if self.is_slow else 'ed25519'}-sha256; c=relaxed/relaxed;",
            f" d={self._domain}; s={self._selector}; t={timestamp};",
            *_folded("h", b":".join(names).decode(), ":"),
            f" bh={_base64(hashlib.sha256(_relaxed_body(body)).digest())};",
            " b=",
        )
        unsigned = "\r\n".join(lines).encode()
        signed = b"".join([*_chosen(headers, names), _relaxed_header(unsigned)])
        signature = _base64(self._make(signed))
        pieces = [signature[at : at + _LINE_CHARS] for at in range(0, len(signature), _LINE_CHARS)]
        return unsigned + "\r\n ".join(pieces).encode() + b"\r\n" + mail

    def _make(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(hashlib.sha256(data).digest())  # RFC 8463 §3: the hash is what is signed


def _split(head: bytes) -> list[tuple[bytes, bytes]]:
    """Take a mail's head apart: names in lower case, and whole fields with the lines that continue them."""
    fields = re.split(rb"\r\n(?![ \t])", head)
    return [(field.partition(b":")[0].strip().lower(), field) for field in fields]


def _chosen(headers: list[tuple[bytes, bytes]], names: list[bytes]) -> list[bytes]:
    """Pick the fields to sign, of several with one name the last first; what is named once too often is nothing (§5.4.2)."""
    left = list(headers)
    chosen = []
    for name in names:
        index = next((index for index in reversed(range(len(left))) if left[index][0] == name), None)
        if index is not None:
            chosen.append(_relaxed_header(left.pop(index)[1]) + b"\r\n")
    return chosen


def _relaxed_header(field: bytes) -> bytes:
    """§3.4.2."""
    name, _, value = field.partition(b":")
    unfolded = _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip()
    return name.strip().lower() + b":" + unfolded


def _relaxed_body(body: bytes) -> bytes:
    """§3.4.4."""
    lines = [_BLANKS.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _folded(tag: str, value: str, separator: str) -> list[str]:
    """Write a tag over several lines, broken behind separators."""
    lines = [f" {tag}="]
    for part in value.split(separator):
        if len(lines[-1]) + len(part) > _LINE_CHARS:
            lines.append(" ")
        lines[-1] += f"{part}{separator}"
    return [*lines[:-1], f"{lines[-1].removesuffix(separator)};"]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
