"""Settings of providers: who carries notifications to phones, browsers, mailboxes, numbers and webhooks.

Every provider may have several apps. What an app does not set it takes from its provider's own section, so that apps of one
team share what they have in common; each is a carrier of its own, with a queue, a rate and a breaker to itself.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, SecretStr, field_validator

from config.durations import Duration
from config.rate_windows import parse_rate_window
from config.section import Section

__all__ = [
    "Account",
    "ApnsSettings",
    "EmailSettings",
    "FcmSettings",
    "ProviderLimits",
    "ProviderTotals",
    "ProvidersSettings",
    "SmsSettings",
    "WebPushSettings",
    "WebhookSettings",
]

_CA_FILE = "Certificates to trust instead of the system's."
_APPS = "Further apps, each with a name; what one does not set it takes from this section."
_NOT_SET = SecretStr("")


class ProviderLimits(Section):
    """Limits that every provider and every app has to itself."""

    rate_per_s: float = Field(0.0, ge=0, description="Most calls per second; 0 sets no limit.")
    burst: int = Field(100, ge=1, description="Calls that may come at once under rate_per_s.")
    rate_per_user: tuple[str, ...] = Field(
        (), description='Most calls for one user, such as "30/h"; of several rates all hold, and none sets no limit.'
    )
    rate_per_device: tuple[str, ...] = Field(
        (), description='Most calls for one device, such as "200/min burst 40" and "4500/h burst 500" beside it.'
    )
    critical_passes_rate_per_user: bool = Field(
        True, description="Critical notifications are neither held by rate_per_user nor counted by it."
    )
    timeout: Duration = Field(10.0, description="Longest time for one call.")

    @field_validator("rate_per_user", "rate_per_device")
    @classmethod
    def _are_rates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_rate_window(text)
        return value


class ProviderTotals(Section):
    """Limits of a provider and all its apps together."""

    total_rate_per_s: float = Field(0.0, ge=0, description="Most calls per second through all apps together; 0 sets no limit.")
    total_burst: int = Field(100, ge=1, description="Calls that may come at once under total_rate_per_s.")


class _Name(Section):
    name: str = Field(
        pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="What devices name at device_register: letters, digits, - and _."
    )


_Apps = TypeVar("_Apps", bound=tuple[_Name, ...])


def _names_differ(apps: _Apps) -> _Apps:
    names = [app.name for app in apps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names must differ; twice: {', '.join(twice)}")
    return apps


class _ApnsAccount(ProviderLimits):
    url: str = Field("https://api.push.apple.com", description="Apple's host, its sandbox or a simulator.")
    team_id: str = Field("", description="Apple developer team.")
    key_id: str = Field("", description="Id of the .p8 key.")
    private_key: SecretStr = Field(_NOT_SET, description="PEM of the .p8 key.")
    private_key_file: str = Field("", description="Or the .p8 file, read again whenever it changes.")
    cert_file: str = Field("", description="PEM of a push certificate, with its key, instead of a .p8 key.")
    key_file: str = Field("", description="PEM of the certificate's key, where it has a file of its own.")
    topic: str = Field("", description="Bundle id of the app.")
    push_types: tuple[Literal["alert", "background", "voip", "live-activity"], ...] = Field(
        ("alert", "background", "voip", "live-activity"),
        description="Push types that the app's tokens take; an app for VoIP tokens lists voip alone.",
    )
    ca_file: str = Field("", description=_CA_FILE)

    @property
    def is_configured(self) -> bool:
        has_key = bool(self.private_key.get_secret_value() or self.private_key_file)
        return bool(self.topic and (self.cert_file or (self.team_id and self.key_id and has_key)))


class ApnsApp(_ApnsAccount, _Name):
    """An app beside the provider's own."""


class ApnsSettings(_ApnsAccount, ProviderTotals):
    apps: Annotated[tuple[ApnsApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


class _FcmAccount(ProviderLimits):
    url: str = Field("https://fcm.googleapis.com", description="Google's host or a simulator.")
    service_account: SecretStr = Field(
        _NOT_SET, description="The service account's JSON, or the path of its file, read again whenever it changes."
    )
    ca_file: str = Field("", description=_CA_FILE)

    @property
    def is_configured(self) -> bool:
        return bool(self.service_account.get_secret_value())


class FcmApp(_FcmAccount, _Name):
    """An app beside the provider's own."""


class FcmSettings(_FcmAccount, ProviderTotals):
    apps: Annotated[tuple[FcmApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


class _WebPushAccount(ProviderLimits):
    vapid_private_key: SecretStr = Field(_NOT_SET, description="PEM of the P-256 key; its public half is shared.")
    vapid_private_key_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    subject: str = Field("", description="mailto: or https: address of whoever is responsible.")
    allowed_hosts: tuple[str, ...] = Field(
        (
            "fcm.googleapis.com",
            "jmt17.google.com",
            "updates.push.services.mozilla.com",
            "push.services.mozilla.com",
            "push.apple.com",
            "notify.windows.com",
        ),
        description='Push services that subscriptions may name, with their subdomains; "*" allows any public host.',
    )
    connect_to: str = Field("", description="host:port that stands for every push service: simulators only.")
    ca_file: str = Field("", description=_CA_FILE)

    @property
    def is_configured(self) -> bool:
        return bool((self.vapid_private_key.get_secret_value() or self.vapid_private_key_file) and self.subject)


class WebPushApp(_WebPushAccount, _Name):
    """An app beside the provider's own."""


class WebPushSettings(_WebPushAccount, ProviderTotals):
    apps: Annotated[tuple[WebPushApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


class _EmailAccount(ProviderLimits):
    url: str = Field("", description="smtp://host:587 (STARTTLS), smtps://host:465, or smtp+plain:// for a simulator.")
    username: str = Field("", description="Login at the relay; empty for none.")
    password: SecretStr = Field(_NOT_SET, description="Password at the relay.")
    password_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    sender: str = Field("", description="Address that mail comes from.")
    sender_name: str = Field("", description="Name that mail comes from.")
    dkim_selector: str = Field("", description="Sign mail with DKIM under this selector; empty where the relay does it.")
    dkim_domain: str = Field("", description="Domain that signs; the sender's if empty.")
    dkim_private_key: SecretStr = Field(_NOT_SET, description="PEM of the RSA (2048 bits or more) or Ed25519 key that signs.")
    dkim_private_key_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    ca_file: str = Field("", description=_CA_FILE)
    connections: int = Field(8, ge=1, le=100, description="Connections to the relay at once.")

    @property
    def is_configured(self) -> bool:
        return bool(self.url and self.sender)


class EmailApp(_EmailAccount, _Name):
    """A relay beside the provider's own."""


class EmailSettings(_EmailAccount, ProviderTotals):
    apps: Annotated[tuple[EmailApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


class _SmsAccount(ProviderLimits):
    kind: Literal["twilio", "webhook"] = Field(
        "twilio", description="twilio speaks Twilio's Messages API; webhook posts signed JSON to an address of yours."
    )
    url: str = Field("", description="Address of the webhook, or a host that speaks like Twilio; empty for Twilio's own.")
    account_sid: str = Field("", description="twilio: account, AC…")
    auth_token: SecretStr = Field(_NOT_SET, description="twilio: the account's token.")
    auth_token_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    sender: str = Field("", description="twilio: number or name that messages come from, or a messaging service, MG…")
    status_callback: str = Field("", description="twilio: https address that is told what became of a message.")
    secret: SecretStr = Field(_NOT_SET, description="webhook: signs every call; 16 characters or more.")
    secret_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    previous_secret: SecretStr = Field(_NOT_SET, description="webhook: signs beside it, while secrets are rotated.")
    max_segments: int = Field(2, ge=1, le=10, description="Most parts of a message; longer texts are cut.")
    allowed_prefixes: tuple[str, ...] = Field(
        (), description='Numbers that may be written to, by how they begin, such as "+49"; empty allows all.'
    )
    ca_file: str = Field("", description=_CA_FILE)

    @property
    def is_configured(self) -> bool:
        if self.kind == "webhook":
            return bool(self.url and (self.secret.get_secret_value() or self.secret_file))
        has_token = bool(self.auth_token.get_secret_value() or self.auth_token_file)
        return bool(self.account_sid and has_token and self.sender)


class SmsApp(_SmsAccount, _Name):
    """An account beside the provider's own."""


class SmsSettings(_SmsAccount, ProviderTotals):
    apps: Annotated[tuple[SmsApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


class _WebhookAccount(ProviderLimits):
    url: str = Field("", description="Where all notifications go; empty lets each device name its own https address.")
    secret: SecretStr = Field(_NOT_SET, description="Signs every call; 16 characters or more.")
    secret_file: str = Field("", description="Or a file with it, read again whenever it changes.")
    previous_secret: SecretStr = Field(_NOT_SET, description="Signs beside it, while secrets are rotated.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description='Hosts that devices may name, with their subdomains; "*" allows any public host.'
    )
    connect_to: str = Field("", description="host:port that stands for every host that devices name: simulators only.")
    ca_file: str = Field("", description=_CA_FILE)

    @property
    def is_configured(self) -> bool:
        return bool((self.secret.get_secret_value() or self.secret_file) and (self.url or self.allowed_hosts))


class WebhookApp(_WebhookAccount, _Name):
    """A webhook beside the provider's own."""


class WebhookSettings(_WebhookAccount, ProviderTotals):
    apps: Annotated[tuple[WebhookApp, ...], AfterValidator(_names_differ)] = Field((), description=_APPS)


_Section = ApnsSettings | FcmSettings | WebPushSettings | EmailSettings | SmsSettings | WebhookSettings


class Account(NamedTuple):
    """Whose credentials a provider is called with: its own ("" as `app`), or those of one of its apps.

    `settings` is a whole section of the provider, filled up from its own where an app is silent; `path` is where it stands.
    """

    provider: str
    app: str
    path: str
    settings: _Section


class ProvidersSettings(Section):
    apns: ApnsSettings = ApnsSettings()
    fcm: FcmSettings = FcmSettings()
    webpush: WebPushSettings = WebPushSettings()
    email: EmailSettings = EmailSettings()
    sms: SmsSettings = SmsSettings()
    webhook: WebhookSettings = WebhookSettings()

    def accounts(self) -> Iterator[Account]:
        """List every provider's own account and those of its apps, whether or not they are configured."""
        for provider in type(self).model_fields:
            section: _Section = getattr(self, provider)
            yield Account(provider, "", f"providers.{provider}", section)
            apps: tuple[_Name, ...] = section.apps
            for index, app in enumerate(apps):
                given = {name: getattr(app, name) for name in app.model_fields_set if name != "name"}
                yield Account(provider, app.name, f"providers.{provider}.apps[{index}]", section.model_copy(update=given))
