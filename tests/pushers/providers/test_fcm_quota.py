"""FCM's simulator says that a quota is exceeded, and the pipeline slows down for it."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from broker.notification import Device, Notification, Route
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProviderLimits, ProvidersSettings
from config.settings import NotificationSettings
from loadtest.simulators.faults import Respond, Rule
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, Retry, SendOutcome
from pushers.provider import Provider
from pushers.providers.configured import build_providers


class Watched:
    """A provider whose answers can be waited for: they come from a server, whatever the test's clock says."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.begun: list[datetime] = []
        self.outcomes: list[SendOutcome] = []
        self._provider, self._answered = provider, asyncio.Condition()

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        self.begun.append(now)
        outcome = await self._provider.send(notification, device, now=now)
        async with self._answered:
            self.outcomes.append(outcome)
            self._answered.notify_all()
        return outcome

    async def answers(self) -> None:
        """Wait until every call that was begun has its answer."""
        async with self._answered:
            await self._answered.wait_for(lambda: len(self.outcomes) == len(self.begun))

    async def close(self) -> None:
        await self._provider.close()


async def test_an_exceeded_quota_halves_the_rate_and_loses_nothing(
    simulators_folder: Path, rig: Any, device: Callable[..., Device]
) -> None:
    async with Simulators(simulators_folder) as simulators:
        exceeded = Respond(429, "QUOTA_EXCEEDED", headers={"retry-after": "30"})
        simulators.faults.set([Rule(exceeded, provider="fcm", nth=1, address="fcm-token-0123456789")])
        settings = ProvidersSettings.model_validate({"fcm": simulators.providers["fcm"]})
        carriers = build_providers(settings, clock=SystemClock())
        provider = Watched(carriers[0])
        rig.providers = {"fcm": provider}
        rig.limits = {"fcm": ProviderLimits(rate_per_s=2, burst=4)}
        rig.ledger.register(device(ProviderName.FCM))
        for number in range(6):
            rig.ledger.add(id=str(UUID(int=number)), routes=(Route.PUSH,), ack_wait_s=0, push_wait_s=0)
        pipeline = await rig.start(settings=NotificationSettings(concurrency=1))
        await provider.answers()
        await rig.quiet()
        assert pipeline.metrics.registry.get_sample_value("heliograph_rate_share", {"provider": "fcm"}) == 0.5
        assert [(one.rate_share, one.rate_per_s) for one in pipeline.carriers()] == [(0.5, 1.0)]
        for _ in range(45):
            await rig.advance(1.0)
            await provider.answers()
        assert [type(outcome) for outcome in provider.outcomes] == [Retry, *[Accepted] * 6]
        assert len(simulators.outbox.items()) == 6
        after_s = [(at - provider.begun[0]).total_seconds() for at in provider.begun[1:]]
        assert after_s[0] >= 30.0, "the pause that it asks for is kept"
        assert after_s[-1] - after_s[0] >= 3.0, "half of the burst, then half of the rate"
        await rig.kill()
        await provider.close()
