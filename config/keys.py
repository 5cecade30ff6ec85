"""Keys among the settings: each is read once when the settings are loaded, so that a bad one stops the start by its name."""

from collections.abc import Callable
from typing import Any

from config.pem import Kind, read_ec_private_key, read_public_key
from config.settings import Settings, TokenSettings

__all__ = ["key_problems"]

_PUBLIC_KINDS: tuple[Kind, ...] = ("rsa", "ecdsa", "eddsa")


def key_problems(settings: Settings) -> list[str]:
    """Write a line for each key that is no key of its kind; no line quotes one."""
    problems = _token_problems("client.token", settings.client.token)
    problems += _token_problems("client.subscription_token", settings.client.subscription_token)
    private_keys = {
        "providers.apns.private_key": settings.providers.apns.private_key,
        "providers.webpush.vapid_private_key": settings.providers.webpush.vapid_private_key,
    }
    for path, secret in private_keys.items():
        if pem := secret.get_secret_value():
            problems += _try(path, read_ec_private_key, pem)
    return problems


def _token_problems(section: str, settings: TokenSettings) -> list[str]:
    problems = []
    for kind in _PUBLIC_KINDS:
        if pem := getattr(settings, f"{kind}_public_key"):
            problems += _try(f"{section}.{kind}_public_key", read_public_key, pem, kind)
    for name in ("hmac_secret_key", "hmac_previous_secret_key"):
        if "-----BEGIN" in getattr(settings, name).get_secret_value():
            # Whoever knows a public key could sign with it.
            problems.append(f"{section}.{name}: must be a shared secret, this is a key in PEM form")
    return problems


def _try(path: str, read: Callable[..., Any], *args: Any) -> list[str]:
    try:
        read(*args)
    except ValueError as exc:
        return [f"{path}: {exc}"]
    return []
