"""The status webhook as a process has it: off for failing, it says so in health and metrics (N-28)."""

from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from broker.engines.memory.engine import MemoryEngine
from broker.present_overrides import PresentOverrides
from broker.store.store import open_store
from config.clock import ManualClock
from config.operation_settings import StatusWebhookSettings
from config.settings import NotificationSettings, Settings
from heliograph.ground import Ground
from heliograph.status_webhook import make_status_webhooks
from pushers.metrics import Metrics

WEBHOOK = StatusWebhookSettings(url="https://app.example.org/hook", secrets=("0123456789abcdef",))


@pytest.fixture
async def make(store_file):
    async with AsyncExitStack() as resources:
        clock = ManualClock()
        store = await open_store(f"sqlite:///{store_file}", clock=clock)
        resources.push_async_callback(store.close)

        def make(webhook):
            settings = Settings(notifications=NotificationSettings(status_webhook=webhook))
            overrides = PresentOverrides(store.overrides, clock)
            ground = Ground(settings, clock, MemoryEngine(clock), store, "p-1", resources, overrides)
            metrics = Metrics(CollectorRegistry())
            return make_status_webhooks(ground, metrics), metrics.registry

        make.store, make.clock = store, clock
        yield make


async def test_without_an_address_there_is_none(make):
    webhooks, _ = make(StatusWebhookSettings())
    assert webhooks is None


async def test_it_stays_off_over_a_restart_and_is_on_with_other_settings(make):
    def disabled(registry):
        return registry.get_sample_value("heliograph_status_webhook_disabled")

    webhooks, registry = make(WEBHOOK)
    await webhooks.work()
    assert (disabled(registry), webhooks.concern) == (0, "")
    for _ in range(5):
        await make.store.webhook_switch.failed("status 503", disable_after_s=3 * 86400.0, gap_s=86400.0)
        make.clock.move(86400.0)

    again, registry = make(WEBHOOK)
    await again.work()
    assert disabled(registry) == 1
    assert again.concern.startswith("the status webhook is off since 2026-01-04")

    other, registry = make(WEBHOOK.model_copy(update={"url": "https://app.example.org/other"}))
    await other.work()
    assert (disabled(registry), other.concern) == (0, "")
