"""Puts the status webhook of the settings together."""

import ssl

from prometheus_client import Counter, Gauge

from config.egress import Forbidden
from config.errors import SettingsError
from heliograph.ground import Ground
from pushers.metrics import Metrics
from pushers.providers.http import HttpTransport
from pushers.providers.webhook_post import WebhookPost
from pushers.providers.webhook_target import check_target
from pushers.status_webhooks import StatusWebhooks

__all__ = ["make_status_webhooks"]


def make_status_webhooks(ground: Ground, metrics: Metrics) -> StatusWebhooks | None:
    """Make what tells the application of its notifications; None where no url is set.

    Raises:
        SettingsError: The address is one that must not be called, or the certificates cannot be read.
    """
    settings = ground.settings.notifications.status_webhook
    if not settings.url:
        return None
    try:
        target = check_target(settings.url, settings.private_hosts)
    except Forbidden as exc:
        raise SettingsError(
            [f"notifications.status_webhook.url: {exc}; private_hosts names hosts that may be private"]
        ) from exc
    try:
        ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as exc:
        rule = "must be a readable file of PEM certificates"
        raise SettingsError([f"notifications.status_webhook.ca_file: {rule}"]) from exc
    post = WebhookPost(target, HttpTransport(ca_file=settings.ca_file), ground.clock, timeout_s=settings.timeout)
    ground.resources.push_async_callback(post.close)
    counter = Counter(
        "heliograph_status_events",
        "Events of the status webhook, by what came of sending them.",
        ("outcome",),
        registry=metrics.registry,
    )
    webhooks = StatusWebhooks(
        ground.store.status_events,
        ground.store.webhook_switch,
        post,
        settings,
        ground.clock,
        count=lambda outcome, number: counter.labels(outcome).inc(number),
    )
    disabled = Gauge(
        "heliograph_status_webhook_disabled",
        "1 while the status webhook is switched off because it failed for too long.",
        registry=metrics.registry,
    )
    disabled.set_function(lambda: webhooks.is_disabled)
    return webhooks
