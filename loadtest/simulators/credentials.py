"""The keys of the simulators and of whoever calls them, made once and kept in the data folder.

They open nothing but the simulators on loopback; the file is private all the same, so that nobody learns to be careless.
"""

import os
import secrets
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

__all__ = ["Credentials", "CredentialsUnreadable", "open_credentials"]

_CA_LIFETIME: Final = timedelta(days=3650)


class CredentialsUnreadable(Exception):
    """The file is damaged or of another version: deleting it makes new ones, and registered Web Push devices are lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: not a file of simulator credentials; delete it to have new ones made")


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All keys as PEM texts; `subscription_seed` is hexadecimal. Web Push devices are derived from it."""

    ca_certificate: str
    ca_private_key: str
    apns_team_id: str
    apns_key_id: str
    apns_private_key: str
    fcm_project: str
    fcm_private_key_id: str
    fcm_private_key: str
    vapid_private_key: str
    subscription_seed: str

    def __repr__(self) -> str:
        return "Credentials(…)"


def open_credentials(folder: Path, *, now: datetime) -> Credentials:
    """Read the credentials kept in `folder`, or make and keep them.

    Two processes that start at once agree on one set: whoever writes first wins.

    Raises:
        CredentialsUnreadable: What is kept cannot be used.
        OSError: The folder cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "credentials.json"
    if not path.exists():
        _keep(path, msgspec.json.format(msgspec.json.encode(_make(now))))
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except msgspec.MsgspecError as exc:
        raise CredentialsUnreadable(path) from exc


def _keep(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # readable for its owner only
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.link(draft, path)  # unlike rename, a link never replaces what another process has put there
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _make(now: datetime) -> Credentials:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    return Credentials(
        ca_certificate=_ca_certificate(ca_key, now).public_bytes(serialization.Encoding.PEM).decode(),
        ca_private_key=_pem(ca_key),
        apns_team_id="SIMULATOR1",
        apns_key_id=secrets.token_hex(5).upper(),
        apns_private_key=_pem(ec.generate_private_key(ec.SECP256R1())),
        fcm_project="simulator",
        fcm_private_key_id=secrets.token_hex(20),
        fcm_private_key=_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        vapid_private_key=_pem(ec.generate_private_key(ec.SECP256R1())),
        subscription_seed=secrets.token_hex(32),
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _ca_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "heliograph simulators")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
