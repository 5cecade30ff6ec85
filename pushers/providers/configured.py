"""Builds the carriers that the settings configure; here credentials are read and found usable or not, all at once."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from broker.notification import Provider as ProviderName
from broker.notification import carrier_of
from config.clock import Clock
from config.errors import SettingsError
from config.file_prints import look_at
from config.provider_settings import Account, ProviderLimits, ProvidersSettings
from pushers.haste import Haste
from pushers.provider import Provider
from pushers.providers import builders
from pushers.providers.apns_token import ProviderTokens
from pushers.providers.credentials import Unusable, files_of
from pushers.providers.renewal import Carrier

__all__ = ["build_providers", "limits_of"]

_BUILDERS: Final[Mapping[str, Callable[[Any, builders.Shared], Provider | None]]] = {
    ProviderName.APNS: builders.build_apns,
    ProviderName.FCM: builders.build_fcm,
    ProviderName.WEBPUSH: builders.build_webpush,
    ProviderName.EMAIL: builders.build_email,
    ProviderName.SMS: builders.build_sms,
    ProviderName.WEBHOOK: builders.build_webhook,
}


def build_providers(settings: ProvidersSettings, *, clock: Clock, haste: Haste | None = None) -> tuple[Carrier, ...]:
    """Build every provider and app that is configured; opens no connection.

    Args:
        haste: The pipeline's, where one uses them.
    Raises:
        SettingsError: Credentials, files or addresses are unusable, or an account is configured by half.
    """
    shared = builders.Shared(clock, ProviderTokens(), haste or Haste(clock))
    carriers: list[Carrier] = []
    problems: list[str] = []
    for account in settings.accounts():
        try:
            carrier = _build(account, shared)
        except Unusable as exc:
            problems.append(f"{account.path}.{exc}")
        else:
            carriers += [carrier] if carrier is not None else []
    if problems:
        raise SettingsError(problems)
    return tuple(carriers)


def limits_of(settings: ProvidersSettings) -> Mapping[str, ProviderLimits]:
    """Tell the limits of every carrier, by its name."""
    return {carrier_of(ProviderName(account.provider), account.app): account.settings for account in settings.accounts()}


def _build(account: Account, shared: builders.Shared) -> Carrier | None:
    """Build one; None where it is not configured, or where it only holds what its apps have in common."""
    settings = account.settings
    if not account.app and settings.apps and not settings.is_configured:
        return None
    make = _BUILDERS[account.provider]
    files = files_of(settings)
    prints = look_at(files)  # before they are read: what changes meanwhile is read again
    first = make(settings, shared)
    if first is None:
        if account.app:
            raise Unusable("name", "the app has no credentials, and the provider's own section has none to share")
        return None

    def make_again() -> Provider:
        provider = make(settings, shared)
        assert provider is not None, "the settings have not changed, only what the files hold"
        return provider

    name = carrier_of(ProviderName(account.provider), account.app)
    cert_file = getattr(settings, "cert_file", "")
    return Carrier(name, account.path, make_again, files, first, prints=prints, cert_file=cert_file)
