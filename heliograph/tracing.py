"""Whether a process writes traces, and which of its parts are then others."""

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import msgspec

from broker.inbox import Inbox
from broker.ledger import Notifications
from broker.tracing import TracedEngine
from broker.tracking import Tracking
from config.errors import SettingsError
from config.settings import Settings
from config.tracing import NO_TRACING, Tracing
from gateway.api.call import Calls
from gateway.api.endpoint import ApiEndpoint
from gateway.consumers.consumer import Consumer
from gateway.tracing.acks import AckSpans
from gateway.tracing.api import TracedApiEndpoint
from gateway.tracing.consumer import TracedConsumer
from gateway.tracing.inbox import TracedInbox
from gateway.tracing.notifications import TracedNotifications
from gateway.tracing.tracking import TracedTracking
from heliograph.ground import Ground

__all__ = ["consumer_of", "endpoint_of", "make_inbox", "make_notifications", "make_tracking", "open_tracing", "with_tracing"]


def open_tracing(settings: Settings, *, instance: str) -> Tracing:
    """Open the tracing that the settings ask for; its library is imported only then.

    Args:
        instance: Names this process among those of the service.
    Raises:
        SettingsError: The library is not installed.
    """
    if not settings.tracing.enabled:
        return NO_TRACING
    try:
        from config.tracing_sdk import SdkTracing, sending_processor
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "opentelemetry":
            raise
        rule = f"needs the extra `tracing`: {sys.executable} -m pip install 'heliograph[tracing]'"
        raise SettingsError([f"tracing.enabled: {rule}"]) from None
    return SdkTracing(settings.tracing, sending_processor(settings.tracing), instance=instance, version=version("heliograph"))


def with_tracing(ground: Ground) -> Ground:
    """Give a process's ground its tracing, which ends, and sends what waits, when all parts have ended.

    Raises:
        SettingsError: As `open_tracing`.
    """
    tracing = open_tracing(ground.settings, instance=ground.process_id)
    if not tracing.is_on:
        return ground
    ground.resources.push_async_callback(tracing.close)
    return msgspec.structs.replace(ground, engine=TracedEngine(ground.engine), tracing=tracing)


def make_notifications(ground: Ground) -> Notifications:
    """Make the half of the ledger that a gateway asks."""
    ledger = ground.store.ledger
    return TracedNotifications(ledger, _ack_spans(ground)) if ground.tracing.is_on else ledger


def make_inbox(ground: Ground) -> Inbox:
    """Make the inboxes that users mark."""
    inbox = ground.store.inbox
    return TracedInbox(inbox, _ack_spans(ground)) if ground.tracing.is_on else inbox


def make_tracking(ground: Ground) -> Tracking:
    """Make what records where links and pixels lead."""
    tracking = ground.store.tracking
    return TracedTracking(tracking, _ack_spans(ground)) if ground.tracing.is_on else tracking


def _ack_spans(ground: Ground) -> AckSpans:
    return AckSpans(ground.store.traces, ground.tracing, ground.clock)


def endpoint_of(ground: Ground, calls: Calls) -> Callable[..., ApiEndpoint]:
    """Tell what makes the endpoint of the API, with the arguments of the plain one."""
    return partial(TracedApiEndpoint, ground.tracing, calls) if ground.tracing.is_on else ApiEndpoint


def consumer_of(ground: Ground) -> Callable[..., Consumer]:
    """Tell what makes a consumer, with the arguments of the plain one."""
    return partial(TracedConsumer, ground.tracing) if ground.tracing.is_on else Consumer
