"""Certificates in PEM files: read and held against their keys before anybody is shown them.

`cryptography` is imported when one is read, so that commands without certificates start fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

__all__ = ["BadCertificate", "certificate_ends_at", "check_authorities", "check_pair"]


class BadCertificate(Exception):
    """A file cannot be used: the setting that names it (`cert_file`, …) and the rule it breaks. No key is quoted."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")
        self.name = name


def check_pair(cert_file: str, key_file: str) -> float:
    """Read a certificate and its key, blocking; tells when the certificate ends, in Unix seconds.

    Args:
        key_file: Empty where the key stands in `cert_file` too.
    Raises:
        BadCertificate: They cannot be used together.
    """
    certificate = _certificate("cert_file", cert_file)
    name = "key_file" if key_file else "cert_file"
    key = _key(name, key_file or cert_file)
    if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
        raise BadCertificate(name, f"its key does not belong to the certificate in {cert_file}")
    return certificate.not_valid_after_utc.timestamp()


def certificate_ends_at(cert_file: str) -> float:
    """Tell when the first certificate of a file ends, in Unix seconds; blocks.

    Raises:
        BadCertificate: There is none.
    """
    return _certificate("cert_file", cert_file).not_valid_after_utc.timestamp()


def check_authorities(name: str, file: str) -> None:
    """Insist on a file of certificates; blocks.

    Raises:
        BadCertificate: There is none.
    """
    _certificate(name, file)


def _certificate(name: str, file: str) -> "Certificate":
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(_read(name, file))[0]
    except ValueError:
        raise BadCertificate(name, f"there is no certificate in PEM form in {file}") from None


def _key(name: str, file: str) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _read(name, file)
    try:
        return load_pem_private_key(pem[max(0, pem.find(_key_start(pem))) :], password=None)
    except TypeError:
        raise BadCertificate(name, f"the key in {file} is encrypted; an unencrypted one is needed") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadCertificate(name, f"there is no private key in PEM form in {file}") from None


def _key_start(pem: bytes) -> bytes:
    """Find how the first block that holds a key begins; certificates may stand before it."""
    for line in pem.splitlines():
        if line.startswith(b"-----BEGIN ") and b"PRIVATE KEY" in line:
            return line
    return b"-----BEGIN"


def _public_bytes(key: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # all have it
    return encoded


def _read(name: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no such path"
        raise BadCertificate(name, f"{file} cannot be read: {reason}") from None
