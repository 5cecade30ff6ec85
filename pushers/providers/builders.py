"""One function for each provider: from its settings to something that can be called, or None where it is not configured."""

import re
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from config.clock import Clock
from config.egress import Pins
from config.provider_settings import (
    ApnsSettings,
    EmailSettings,
    FcmSettings,
    SmsSettings,
    WebhookSettings,
    WebPushSettings,
)
from pushers.haste import Haste
from pushers.payloads.dkim import DkimSigner
from pushers.payloads.email import is_mail_address
from pushers.provider import Provider
from pushers.providers.apns import ApnsProvider
from pushers.providers.apns_token import ProviderTokens
from pushers.providers.credentials import (
    Unusable,
    check_certificate,
    check_https,
    check_trust,
    is_whole,
    read_key,
    read_p256_key,
    read_secret,
    read_service_account,
    read_signing_secrets,
)
from pushers.providers.email import EmailProvider
from pushers.providers.fcm import FcmProvider
from pushers.providers.fcm_token import AccessTokens
from pushers.providers.http import HttpTransport
from pushers.providers.sms import HookedSmsProvider, TwilioProvider
from pushers.providers.smtp_pool import SmtpPool, SmtpRelay
from pushers.providers.vapid import Vapid
from pushers.providers.webhook import WebhookProvider
from pushers.providers.webpush import WebPushProvider

__all__ = ["Shared", "build_apns", "build_email", "build_fcm", "build_sms", "build_webhook", "build_webpush"]

_HOST_AND_PORT: Final = re.compile(r"[A-Za-z0-9.\-]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_ACCOUNT_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_SENDER: Final = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|MG[0-9a-fA-F]{32}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_LEAST_DKIM_BITS: Final = 2048  # RFC 8301 §3.2 asks for it
_RELAYS: Final[dict[str, tuple[Any, int]]] = {
    "smtp": ("starttls", 587),
    "smtps": ("implicit", 465),
    "smtp+plain": ("none", 25),
}


class Shared(msgspec.Struct, frozen=True):
    """What carriers have in common: the clock, one provider token for each team and key, and what lets others overtake."""

    clock: Clock
    tokens: ProviderTokens
    haste: Haste


def build_apns(settings: ApnsSettings, shared: Shared) -> Provider | None:
    secret = read_secret(settings, "private_key")
    if settings.cert_file:
        if secret:
            raise Unusable("cert_file", "must not be set beside private_key")
        if not settings.topic:
            raise Unusable("topic", "is missing; cert_file, topic go together")
        check_certificate(settings.cert_file, settings.key_file)
        token = None
    else:
        needed = {"team_id": settings.team_id, "key_id": settings.key_id, "private_key": secret, "topic": settings.topic}
        if not is_whole(needed):
            return None
        token = shared.tokens.of(settings.team_id, settings.key_id, read_p256_key("private_key", secret))
    check_https(settings.url)
    check_trust(settings.ca_file)
    # A client that shows a certificate is known from the start, and gets all its streams at once.
    transport = HttpTransport(
        ca_file=settings.ca_file,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        starts_single=token is not None,
        haste=shared.haste,
    )
    return ApnsProvider(settings, token, transport)


def build_fcm(settings: FcmSettings, shared: Shared) -> Provider | None:
    if not settings.is_configured:
        return None
    check_https(settings.url)
    check_trust(settings.ca_file)
    account = read_service_account(settings.service_account.get_secret_value())
    transport = HttpTransport(ca_file=settings.ca_file, haste=shared.haste)
    tokens = AccessTokens(account, transport, shared.clock, timeout_s=settings.timeout)
    return FcmProvider(settings, account.project_id, tokens, transport)


def build_webpush(settings: WebPushSettings, shared: Shared) -> Provider | None:
    secret = read_secret(settings, "vapid_private_key")
    if not is_whole({"vapid_private_key": secret, "subject": settings.subject}):
        return None
    if not settings.subject.startswith(("mailto:", "https://")):
        raise Unusable("subject", "must be a mailto: or https: address")
    _check_connect_to(settings.connect_to)
    check_trust(settings.ca_file)
    key = read_p256_key("vapid_private_key", secret)
    transport = HttpTransport(ca_file=settings.ca_file, connect_to=settings.connect_to, host_connections=4, haste=shared.haste)
    return WebPushProvider(settings, Vapid(key, settings.subject), transport, Pins(shared.clock))


def build_email(settings: EmailSettings, shared: Shared) -> Provider | None:
    if not is_whole({"url": settings.url, "sender": settings.sender}):
        return None
    if not is_mail_address(settings.sender):
        raise Unusable("sender", "must be one mail address, ASCII, at most 254 characters")
    signer = _read_dkim(settings)
    return EmailProvider(settings, SmtpPool(_read_relay(settings), shared.clock, connections=settings.connections), signer)


def build_sms(settings: SmsSettings, shared: Shared) -> Provider | None:
    check_trust(settings.ca_file)
    for prefix in settings.allowed_prefixes:
        if not re.fullmatch(r"\+[1-9][0-9]{0,14}", prefix):
            raise Unusable("allowed_prefixes", 'must hold the beginnings of numbers, such as "+49"')
    if settings.kind == "webhook":
        secrets = read_signing_secrets(settings)
        if not is_whole({"url": settings.url, "secret": "".join(secrets[:1])}):
            return None
        check_https(settings.url)
        return HookedSmsProvider(settings, secrets, HttpTransport(ca_file=settings.ca_file, haste=shared.haste))
    auth_token = read_secret(settings, "auth_token")
    if not is_whole({"account_sid": settings.account_sid, "auth_token": auth_token, "sender": settings.sender}):
        return None
    if not _ACCOUNT_SID.fullmatch(settings.account_sid):
        raise Unusable("account_sid", "must be the id of an account, AC and 32 digits")
    if not _SENDER.fullmatch(settings.sender):
        raise Unusable("sender", "must be a number, a short code, a name of at most 11 characters or a messaging service, MG…")
    for name, url in (("url", settings.url), ("status_callback", settings.status_callback)):
        if url:
            check_https(url, name)
    return TwilioProvider(settings, auth_token, HttpTransport(ca_file=settings.ca_file, haste=shared.haste))


def build_webhook(settings: WebhookSettings, shared: Shared) -> Provider | None:
    secrets = read_signing_secrets(settings)
    target = settings.url or "".join(settings.allowed_hosts)
    if not is_whole({"secret": "".join(secrets[:1]), "url or allowed_hosts": target}):
        return None
    if settings.url:
        check_https(settings.url)
    _check_connect_to(settings.connect_to)
    check_trust(settings.ca_file)
    transport = HttpTransport(ca_file=settings.ca_file, connect_to=settings.connect_to, host_connections=4, haste=shared.haste)
    return WebhookProvider(settings, secrets, transport, Pins(shared.clock))


def _check_connect_to(text: str) -> None:
    if text and not _HOST_AND_PORT.fullmatch(text):
        raise Unusable("connect_to", 'must be host:port, such as "127.0.0.1:8443"')


def _read_dkim(settings: EmailSettings) -> DkimSigner | None:
    pem = read_secret(settings, "dkim_private_key")
    if not is_whole({"dkim_selector": settings.dkim_selector, "dkim_private_key": pem}):
        return None
    domain = settings.dkim_domain or settings.sender.rpartition("@")[2]
    for name, value in (("dkim_domain", domain), ("dkim_selector", settings.dkim_selector)):
        if len(value) > 253 or not _DOMAIN.fullmatch(value):
            raise Unusable(name, "must be a name of the DNS, ASCII")
    key = read_key(pem)
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise Unusable("dkim_private_key", "must be the PEM of an RSA or Ed25519 private key")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_DKIM_BITS:
        raise Unusable("dkim_private_key", f"must have {_LEAST_DKIM_BITS} bits or more")
    return DkimSigner(domain, settings.dkim_selector, key)


def _read_relay(settings: EmailSettings) -> SmtpRelay:
    rule = "must be smtp://host:587 (STARTTLS), smtps://host:465, or smtp+plain://host:port for a simulator"
    try:
        parts = urlsplit(settings.url)
        port = parts.port
    except ValueError as exc:
        raise Unusable("url", rule) from exc
    if parts.scheme not in _RELAYS or not parts.hostname or parts.username or parts.path.strip("/"):
        raise Unusable("url", rule)
    tls, usual_port = _RELAYS[parts.scheme]
    password = read_secret(settings, "password")
    if tls == "none" and settings.username:
        raise Unusable("username", "must not be set with smtp+plain://, which would send the password in clear")
    check_trust(settings.ca_file)
    context = None if tls == "none" else ssl.create_default_context(cafile=settings.ca_file or None)
    return SmtpRelay(
        host=parts.hostname,
        port=port or usual_port,
        tls=tls,
        context=context,
        username=settings.username,
        password=password,
        local_name=settings.sender.rpartition("@")[2],
    )
