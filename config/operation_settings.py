"""Settings of what keeps the notification pipeline in order: guards, statistics, status webhooks."""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.section import Section

__all__ = [
    "STATUS_EVENTS",
    "CostSettings",
    "DeletionGuardSettings",
    "OverloadSettings",
    "StatisticsSettings",
    "StatusWebhookSettings",
]

# What a status webhook can tell: how a delivery ended, or where a notification came to.
STATUS_EVENTS: Final = (
    "delivery.published",
    "delivery.offline",
    "delivery.accepted",
    "delivery.retry",
    "delivery.unregistered",
    "delivery.refused",
    "delivery.paused",
    "delivery.gave_up",
    "delivery.unknown",
    "delivery.muted",
    "delivery.deferred",
    "delivery.capped",
    "delivery.skipped",
    "delivery.suppressed",
    "delivery.expired",
    "notification.acknowledged",
    "notification.exhausted",
    "notification.failed",
    "notification.expired",
    "notification.cancelled",
    "notification.digested",
)
_USUAL_EVENTS: Final = (
    "delivery.accepted",
    "delivery.unregistered",
    "delivery.refused",
    "delivery.gave_up",
    "delivery.unknown",
    "delivery.suppressed",
    *(name for name in STATUS_EVENTS if name.startswith("notification.")),
)


class DeletionGuardSettings(Section):
    """When answers that devices are gone are not believed any more."""

    enabled: bool = Field(True, description="Keep devices while a provider calls too many of them gone.")
    share: float = Field(0.05, gt=0, le=1, description="Share of a provider's answers, within the window, that is too many.")
    doubtful_share: float = Field(
        0.02, gt=0, le=1, description="The same for answers that may be our own mix-up, such as tokens of another project."
    )
    least: int = Field(50, ge=1, description="So many within the window are never too many.")
    window: Duration = Field(600.0, gt=0, description="How far back is counted, by each process for itself.")
    undo_within: Duration = Field(
        2_592_000.0,
        gt=0,
        description="How long a device that was removed, because its provider called it gone, can be restored.",
    )


class StatisticsSettings(Section):
    """Numbers of what became of notifications, which stay when these have gone by age."""

    enabled: bool = Field(True, description="Count hours that are over; else every question counts anew what is still there.")
    retention: Duration = Field(34_560_000.0, description="How long counted hours are kept; 0 keeps them for ever.")


class CostSettings(Section):
    """What a message costs that a provider took, for the sums in statistics; 0 is no price."""

    currency: str = Field("", max_length=16, description="What prices are in, such as EUR; needed where there is a price.")
    apns: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a message that APNs took.")
    fcm: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a message that FCM took.")
    webpush: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a message that a push service took.")
    email: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a mail that was taken.")
    sms: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a text message that was taken.")
    webhook: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a call that a webhook took.")

    @property
    def prices(self) -> Mapping[str, float]:
        """Prices by provider, where there is one."""
        found = {name: getattr(self, name) for name in ("apns", "fcm", "webpush", "email", "sms", "webhook")}
        return {name: price for name, price in found.items() if price}

    @model_validator(mode="after")
    def _prices_have_a_currency(self) -> Self:
        if self.prices and not self.currency:
            raise ValueError("a price needs a currency: set `currency`")
        return self


class HabitSettings(Section):
    """When users open what they are told, so that it can be told by their habit (`send_by_habit`)."""

    enabled: bool = Field(
        False, description="Count acks, reads and clicks by the hour of the user's day: some 100 bytes for each user."
    )


class OverloadSettings(Section):
    """When new notifications are refused because those before them wait too long, by priority; 0 never refuses."""

    critical: Duration = Field(
        0.0,
        ge=0,
        description="Refuse critical ones while one has been due for so long; one that waits for its carrier does not count.",
    )
    high: Duration = Field(0.0, ge=0, description="Refuse high ones while one of theirs or a critical one has.")
    normal: Duration = Field(0.0, ge=0, description="Refuse normal ones while one of theirs or a more important one has.")
    bulk: Duration = Field(0.0, ge=0, description="Refuse bulk and campaigns while any has.")

    @property
    def limits(self) -> Mapping[str, float]:
        """Seconds by priority, the most important first."""
        return {name: getattr(self, name) for name in ("critical", "high", "normal", "bulk")}

    @model_validator(mode="after")
    def _bulk_first(self) -> Self:
        limits = [limit_s for limit_s in self.limits.values() if limit_s]
        if limits != sorted(limits, reverse=True):
            raise ValueError("what is more important must not have a shorter limit: bulk is refused first, critical last")
        return self


class StatusWebhookSettings(Section):
    """Where the application is told what became of notifications; nothing is written or sent without a url."""

    url: str = Field("", description="https address that events are posted to; empty for none.")
    secrets: tuple[SecretStr, ...] = Field(
        (), description="Keys that each request is signed with; two while one is being replaced, of which either will do."
    )
    events: tuple[str, ...] = Field(
        (),
        description="What is told: delivery.<outcome> and notification.<state>; empty for the ends of deliveries and "
        "notifications, without retries and routes that were passed over.",
    )
    private_hosts: tuple[str, ...] = Field(
        (), description="Hosts that may lie in a private network, at any port; others must be public, at port 443."
    )
    ca_file: str = Field("", description="Certificates to trust instead of the system's.")
    timeout: Duration = Field(10.0, gt=0, description="Longest time for one request.")
    batch_size: int = Field(100, ge=1, le=1000, description="Most events in one request.")
    give_up_after: Duration = Field(86400.0, gt=0, description="How old an event may become while it cannot be delivered.")
    disable_after: Duration = Field(
        259_200.0,
        description="How long nothing may be taken until the webhook is switched off: until status_webhook_enable, or a start "
        "with other settings of it; 0 never switches it off.",
    )

    @field_validator("events")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in STATUS_EVENTS]:
            raise ValueError(f"must be of {', '.join(STATUS_EVENTS)} (not {', '.join(unknown)})")
        return value

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.url and not any(secret.get_secret_value() for secret in self.secrets):
            raise ValueError("a url needs secrets to sign with")
        return self

    @property
    def chosen(self) -> frozenset[str]:
        """The events that are to be written down."""
        return frozenset(self.events or _USUAL_EVENTS) if self.url else frozenset()
