"""Builds the providers that the settings configure; here credentials are read and found usable or not, all at once."""

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.clock import Clock
from config.errors import SettingsError
from config.settings import ApnsSettings, EmailSettings, FcmSettings, ProvidersSettings, WebPushSettings
from pushers.payloads.email import is_mail_address
from pushers.provider import Provider
from pushers.providers.apns import ApnsProvider
from pushers.providers.egress import Pins
from pushers.providers.email import EmailProvider
from pushers.providers.fcm import FcmProvider
from pushers.providers.fcm_token import AccessTokens, ServiceAccount
from pushers.providers.http import HttpTransport
from pushers.providers.smtp_pool import SmtpPool, SmtpRelay
from pushers.providers.vapid import Vapid
from pushers.providers.webpush import WebPushProvider

__all__ = ["build_providers"]

_HOST_AND_PORT: Final = re.compile(r"[A-Za-z0-9.\-]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")
_RELAYS: Final[dict[str, tuple[Any, int]]] = {
    "smtp": ("starttls", 587),
    "smtps": ("implicit", 465),
    "smtp+plain": ("none", 25),
}


class _Unusable(Exception):
    """A setting cannot be used: its name within the section, and the rule it breaks."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")


def build_providers(settings: ProvidersSettings, *, clock: Clock) -> tuple[Provider, ...]:
    """Build every provider that is configured; opens no connection.

    Raises:
        SettingsError: Credentials, files or addresses are unusable, or a provider is configured by half.
    """
    providers: list[Provider] = []
    problems: list[str] = []
    builders: tuple[tuple[str, Callable[[], Provider | None]], ...] = (
        ("apns", lambda: _build_apns(settings.apns)),
        ("fcm", lambda: _build_fcm(settings.fcm, clock)),
        ("webpush", lambda: _build_webpush(settings.webpush, clock)),
        ("email", lambda: _build_email(settings.email, clock)),
    )
    for section, build in builders:
        try:
            provider = build()
        except _Unusable as exc:
            problems.append(f"providers.{section}.{exc}")
        else:
            providers += [provider] if provider is not None else []
    if problems:
        raise SettingsError(problems)
    return tuple(providers)


def _build_apns(settings: ApnsSettings) -> Provider | None:
    secret = settings.private_key.get_secret_value()
    needed = {"team_id": settings.team_id, "key_id": settings.key_id, "private_key": secret, "topic": settings.topic}
    if not _is_whole(needed):
        return None
    _check_https(settings.url)
    _check_file(settings.ca_file)
    key = _read_p256_key("private_key", secret)
    return ApnsProvider(settings, key, HttpTransport(ca_file=settings.ca_file, starts_single=True))


def _build_fcm(settings: FcmSettings, clock: Clock) -> Provider | None:
    if not settings.is_configured:
        return None
    _check_https(settings.url)
    _check_file(settings.ca_file)
    account = _read_service_account(settings.service_account.get_secret_value())
    transport = HttpTransport(ca_file=settings.ca_file)
    tokens = AccessTokens(account, transport, clock, timeout_s=settings.timeout)
    return FcmProvider(settings, account.project_id, tokens, transport)


def _build_webpush(settings: WebPushSettings, clock: Clock) -> Provider | None:
    secret = settings.vapid_private_key.get_secret_value()
    if not _is_whole({"vapid_private_key": secret, "subject": settings.subject}):
        return None
    if not settings.subject.startswith(("mailto:", "https://")):
        raise _Unusable("subject", "must be a mailto: or https: address")
    if settings.connect_to and not _HOST_AND_PORT.fullmatch(settings.connect_to):
        raise _Unusable("connect_to", 'must be host:port, such as "127.0.0.1:8443"')
    _check_file(settings.ca_file)
    key = _read_p256_key("vapid_private_key", secret)
    transport = HttpTransport(ca_file=settings.ca_file, connect_to=settings.connect_to, host_connections=4)
    return WebPushProvider(settings, Vapid(key, settings.subject), transport, Pins(clock))


def _build_email(settings: EmailSettings, clock: Clock) -> Provider | None:
    if not _is_whole({"url": settings.url, "sender": settings.sender}):
        return None
    if not is_mail_address(settings.sender):
        raise _Unusable("sender", "must be one mail address, ASCII, at most 254 characters")
    return EmailProvider(settings, SmtpPool(_read_relay(settings), clock, connections=settings.connections))


def _is_whole(needed: dict[str, str]) -> bool:
    """Whether all are set; some alone are a mistake rather than a wish to have none."""
    missing = [name for name, value in needed.items() if not value]
    if missing and len(missing) < len(needed):
        raise _Unusable(missing[0], f"is missing; {', '.join(needed)} go together")
    return not missing


def _check_https(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme == "https" and bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
        _ = parts.port
    except ValueError:
        is_plain = False
    if not is_plain:
        raise _Unusable("url", "must be an https address")


def _check_file(path: str, name: str = "ca_file") -> None:
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise _Unusable(name, "must be a readable file of PEM certificates") from exc


def _read_p256_key(name: str, pem: str) -> ec.EllipticCurvePrivateKey:
    key = _read_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _Unusable(name, "must be the PEM of a private key on the curve P-256")
    return key


def _read_key(pem: str) -> PrivateKeyTypes | None:
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


def _read_service_account(text: str) -> ServiceAccount:
    name, rule = "service_account", "must be a service account's JSON or the path of a file with it"
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as exc:
            raise _Unusable(name, "the file cannot be read") from exc
    try:
        file = msgspec.json.decode(text, type=_AccountFile)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise _Unusable(name, rule) from exc
    if not re.fullmatch(r"[a-z0-9.:-]{1,64}", file.project_id):
        raise _Unusable(name, "its project_id is no project's")
    if not file.token_uri.startswith("https://"):
        raise _Unusable(name, "its token_uri must be an https address")
    key = _read_key(file.private_key)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _Unusable(name, "its private_key must be the PEM of an RSA key")
    return ServiceAccount(file.project_id, file.client_email, file.token_uri, file.private_key_id, key)


def _read_relay(settings: EmailSettings) -> SmtpRelay:
    rule = "must be smtp://host:587 (STARTTLS), smtps://host:465, or smtp+plain://host:port for a simulator"
    try:
        parts = urlsplit(settings.url)
        port = parts.port
    except ValueError as exc:
        raise _Unusable("url", rule) from exc
    if parts.scheme not in _RELAYS or not parts.hostname or parts.username or parts.path.strip("/"):
        raise _Unusable("url", rule)
    tls, usual_port = _RELAYS[parts.scheme]
    if tls == "none" and settings.username:
        raise _Unusable("username", "must not be set with smtp+plain://, which would send the password in clear")
    _check_file(settings.ca_file)
    context = None if tls == "none" else ssl.create_default_context(cafile=settings.ca_file or None)
    return SmtpRelay(
        host=parts.hostname,
        port=port or usual_port,
        tls=tls,
        context=context,
        username=settings.username,
        password=settings.password.get_secret_value(),
        local_name=settings.sender.rpartition("@")[2],
    )
