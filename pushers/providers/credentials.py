"""Credentials out of settings: read, parsed and found usable or not, before anybody is called with them."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from config.provider_settings import ProviderLimits
from pushers.providers.fcm_token import ServiceAccount

__all__ = [
    "Unusable",
    "check_certificate",
    "check_https",
    "check_trust",
    "files_of",
    "is_whole",
    "read_key",
    "read_p256_key",
    "read_secret",
    "read_service_account",
    "read_signing_secrets",
]

_LEAST_SECRET_CHARS: Final = 16


class Unusable(Exception):
    """A setting cannot be used: its name within the section, and the rule it breaks. The text quotes no secret."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")


def files_of(settings: ProviderLimits) -> tuple[Path, ...]:
    """List the files that an account's credentials stand in."""
    paths = [getattr(settings, name) for name in type(settings).model_fields if name.endswith("_file")]
    account = getattr(settings, "service_account", None)
    if account is not None and not _is_json(account.get_secret_value()):
        paths.append(account.get_secret_value())
    return tuple(Path(path) for path in paths if path)


def is_whole(needed: Mapping[str, str]) -> bool:
    """Whether all are set.

    Raises:
        Unusable: Some alone are a mistake rather than a wish to have none.
    """
    missing = [name for name, value in needed.items() if not value]
    if missing and len(missing) < len(needed):
        raise Unusable(missing[0], f"is missing; {', '.join(needed)} go together")
    return not missing


def read_secret(settings: ProviderLimits, name: str) -> str:
    """Read a secret from the settings or from the file that `<name>_file` names; empty where neither is set."""
    value: SecretStr = getattr(settings, name)
    path: str = getattr(settings, f"{name}_file")
    if not path:
        return value.get_secret_value()
    if value.get_secret_value():
        raise Unusable(name, f"must not be set beside {name}_file")
    text = _read(path, f"{name}_file").strip()
    if not text:
        raise Unusable(f"{name}_file", "the file is empty")
    return text


def read_signing_secrets(settings: ProviderLimits) -> tuple[str, ...]:
    """Read the secrets that calls are signed with, the current one first; none where it is not set."""
    previous: SecretStr = getattr(settings, "previous_secret")  # noqa: B009 (sections have it, the class of all has not)
    named = (("secret", read_secret(settings, "secret")), ("previous_secret", previous.get_secret_value()))
    for name, value in named:
        if 0 < len(value) < _LEAST_SECRET_CHARS:
            raise Unusable(name, f"must be {_LEAST_SECRET_CHARS} characters or more")
    return tuple(value for _, value in named if value)


def check_https(url: str, name: str = "url") -> None:
    """Insist on a plain https address."""
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme == "https" and bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
        _ = parts.port
    except ValueError:
        is_plain = False
    if not is_plain or not url.isascii() or not url.isprintable():
        raise Unusable(name, "must be an https address")


def check_trust(path: str) -> None:
    """Insist on a readable file of certificates, or none."""
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise Unusable("ca_file", "must be a readable file of PEM certificates") from exc


def check_certificate(cert_file: str, key_file: str) -> None:
    """Insist on a certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file or None, password="")
    except (OSError, ValueError) as exc:
        raise Unusable("cert_file", "must be a readable PEM certificate, with its key in the same file or in key_file") from exc


def read_p256_key(name: str, pem: str) -> ec.EllipticCurvePrivateKey:
    """Read a private key on the curve that APNs and VAPID sign with."""
    key = read_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise Unusable(name, "must be the PEM of a private key on the curve P-256")
    return key


def read_key(pem: str) -> PrivateKeyTypes | None:
    """Read a private key of whatever kind; None where it is none."""
    try:
        return load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


class _AccountFile(msgspec.Struct, frozen=True):
    """The members of Google's file that are used."""

    project_id: str
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)


def read_service_account(text: str) -> ServiceAccount:
    """Read Google's JSON, or the file that a path leads to."""
    name, rule = "service_account", "must be a service account's JSON or the path of a file with it"
    if not _is_json(text):
        text = _read(text, name)
    try:
        file = msgspec.json.decode(text, type=_AccountFile)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise Unusable(name, rule) from exc
    if not re.fullmatch(r"[a-z0-9.:-]{1,64}", file.project_id):
        raise Unusable(name, "its project_id is no project's")
    if not file.token_uri.startswith("https://"):
        raise Unusable(name, "its token_uri must be an https address")
    key = read_key(file.private_key)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unusable(name, "its private_key must be the PEM of an RSA key")
    return ServiceAccount(file.project_id, file.client_email, file.token_uri, file.private_key_id, key)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _read(path: str, name: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise Unusable(name, "the file cannot be read") from exc
