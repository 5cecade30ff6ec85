"""Puts the status webhook of the settings together."""

import ssl

from prometheus_client import Counter

from config.egress import Forbidden
from config.errors import SettingsError
from heliograph.ground import Ground
from pushers.duties import Duty
from pushers.metrics import Metrics
from pushers.providers.http import HttpTransport
from pushers.providers.webhook_post import WebhookPost
from pushers.providers.webhook_target import check_target
from pushers.status_webhooks import StatusWebhooks

__all__ = ["status_webhook_duties"]


def status_webhook_duties(ground: Ground, metrics: Metrics) -> list[Duty]:
    """Make the duty that tells the application of its notifications; none where no url is set.

    Raises:
        SettingsError: The address is one that must not be called, or the certificates cannot be read.
    """
    settings = ground.settings.notifications.status_webhook
    if not settings.url:
        return []
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
        post,
        settings,
        ground.clock,
        count=lambda outcome, number: counter.labels(outcome).inc(number),
    )
    return [webhooks.duty()]
