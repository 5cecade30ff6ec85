"""API methods about the status webhook: `status_webhook_info`, `status_webhook_enable` (N-28)."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from broker.webhook_switch import WebhookSwitch
from config.logs import get_logger
from gateway.api.method import Method

__all__ = ["StatusWebhookEnableRequest", "StatusWebhookInfoRequest", "status_webhook_methods"]

_log = get_logger()


class StatusWebhookInfoRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks how the status webhook stands."""


class StatusWebhookInfoResult(msgspec.Struct, omit_defaults=True):
    """Whether it is on: set, and not switched off; while it fails, since when (in Unix seconds) and how; where it was switched
    off, since when.
    """

    enabled: bool
    failing_since: float | UnsetType = UNSET
    disabled_at: float | UnsetType = UNSET
    cause: str | UnsetType = UNSET


class StatusWebhookEnableRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Switches it on."""


class StatusWebhookEnableResult(msgspec.Struct):
    """Whether it was off."""

    was_disabled: bool


def status_webhook_methods(switch: WebhookSwitch) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(switch)
    group = "Status webhook"
    return [
        Method("status_webhook_info", StatusWebhookInfoRequest, desk.info, is_strict=True, group=group),
        Method("status_webhook_enable", StatusWebhookEnableRequest, desk.enable, is_strict=True, group=group),
    ]


class _Desk:
    def __init__(self, switch: WebhookSwitch) -> None:
        self._switch = switch

    async def info(self, _request: StatusWebhookInfoRequest) -> StatusWebhookInfoResult:
        """Tell whether the status webhook is set and on, and what is wrong with it while it fails."""
        state = await self._switch.state()
        return StatusWebhookInfoResult(
            state.has_begun and state.disabled_at is None,
            _seconds(state.failing_since),
            _seconds(state.disabled_at),
            state.cause or UNSET,
        )

    async def enable(self, _request: StatusWebhookEnableRequest) -> StatusWebhookEnableResult:
        """Switch the status webhook on after it was switched off for failing; within some seconds events go out again.

        Events that became too old meanwhile were given up, and are not told.
        """
        was_disabled = await self._switch.enable()
        if was_disabled:
            _log.warning("status_webhook.enabled")
        return StatusWebhookEnableResult(was_disabled)


def _seconds(moment: datetime | None) -> float | UnsetType:
    return UNSET if moment is None else round(moment.timestamp(), 3)
