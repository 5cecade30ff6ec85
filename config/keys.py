"""Keys among the settings: each is read once when the settings are loaded, so that a bad one stops the start by its name."""

from collections.abc import Callable
from typing import Any

from config.egress import Forbidden, check_endpoint, check_private_endpoint
from config.pem import Kind, read_ec_private_key, read_public_key, read_signing_key
from config.settings import Settings
from config.token_settings import IssuerKeys, IssueSettings, TokenSettings

__all__ = ["key_problems"]

_PUBLIC_KINDS: tuple[Kind, ...] = ("rsa", "ecdsa", "eddsa")


def key_problems(settings: Settings) -> list[str]:
    """Write a line for each key that is no key of its kind; no line quotes one."""
    problems = _token_problems("client.token", settings.client.token)
    problems += _token_problems("client.subscription_token", settings.client.subscription_token)
    problems += _issue_problems("client.token.issue", settings.client.token.issue)
    private_keys = {
        "providers.apns.private_key": settings.providers.apns.private_key,
        "providers.webpush.vapid_private_key": settings.providers.webpush.vapid_private_key,
    }
    for path, secret in private_keys.items():
        if pem := secret.get_secret_value():
            problems += _try(path, read_ec_private_key, pem)
    return problems


def _token_problems(section: str, settings: TokenSettings) -> list[str]:
    problems = _issuer_problems(section, settings)
    for number, issuer in enumerate(settings.issuers):
        path = f"{section}.issuers[{number}]"
        if not issuer.has_key:
            problems.append(f"{path}: has no key: set jwks_url, or one of the keys that client.token has, too")
        problems += _issuer_problems(path, issuer)
    return problems


def _issuer_problems(section: str, settings: IssuerKeys) -> list[str]:
    problems = []
    for kind in _PUBLIC_KINDS:
        if pem := getattr(settings, f"{kind}_public_key"):
            problems += _try(f"{section}.{kind}_public_key", read_public_key, pem, kind)
    for name in ("hmac_secret_key", "hmac_previous_secret_key"):
        if "-----BEGIN" in getattr(settings, name).get_secret_value():
            # Whoever knows a public key could sign with it.
            problems.append(f"{section}.{name}: must be a shared secret, this is a key in PEM form")
    if settings.jwks_url:
        problems += _address_problems(f"{section}.jwks_url", settings)
    return problems


def _address_problems(path: str, settings: IssuerKeys) -> list[str]:
    if any(getattr(settings, f"{kind}_public_key") for kind in _PUBLIC_KINDS):
        return [f"{path}: not beside a public key: which of both holds could not be told"]
    try:
        if settings.jwks_private_network:
            check_private_endpoint(settings.jwks_url)
        else:
            check_endpoint(settings.jwks_url, ("*",))
    except Forbidden as exc:
        hint = "" if settings.jwks_private_network else " (jwks_private_network allows others)"
        return [f"{path}: {exc}{hint}"]
    return []


def _issue_problems(section: str, settings: IssueSettings) -> list[str]:
    problems = []
    if settings.enabled and not settings.signing_key.get_secret_value():
        problems.append(f"{section}.signing_key: must be set, for tokens are issued")
    for name in ("signing_key", "previous_signing_key"):
        if text := getattr(settings, name).get_secret_value():
            problems += _try(f"{section}.{name}", read_signing_key, text)
    return problems


def _try(path: str, read: Callable[..., Any], *args: Any) -> list[str]:
    try:
        read(*args)
    except ValueError as exc:
        return [f"{path}: {exc}"]
    return []
