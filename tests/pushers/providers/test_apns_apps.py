"""APNs with several apps, certificates and push types, against the simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.notification import Device, Notification, PushType
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings
from loadtest.simulators.apns import SECOND_TOPIC, TOPIC
from loadtest.simulators.credentials import open_credentials
from loadtest.simulators.faults import GoAway, Rule
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, ConfigPause, DropMessage
from pushers.provider import Provider
from pushers.providers.configured import build_providers

Build = Callable[..., dict[str, Provider]]
TOKEN = "a1" * 32


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
        yield simulators


@pytest.fixture
async def build(simulators: Simulators) -> AsyncIterator[Build]:
    built: list[Provider] = []

    def make(**changes: Any) -> dict[str, Provider]:
        settings = ProvidersSettings.model_validate({"apns": {**simulators.providers["apns"], **changes}})
        carriers = build_providers(settings, clock=SystemClock())
        built.extend(carriers)
        return {carrier.name: carrier for carrier in carriers}

    yield make
    for provider in built:
        await provider.close()


@pytest.fixture
def phone(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.APNS, TOKEN)


@pytest.fixture
def tell(make_notification: Callable[..., Notification]) -> Callable[..., Notification]:
    def make(**content: Any) -> Notification:
        now = SystemClock().now()
        made = make_notification(**content)
        return msgspec.structs.replace(made, created_at=now, expires_at=now + timedelta(hours=1))

    return make


async def test_two_apps_of_a_team_share_its_token(  # one provider token per team
    build: Build, simulators: Simulators, tell: Callable[..., Notification], phone: Device, simulators_folder: Path
) -> None:
    strict = open_credentials(simulators_folder, now=SystemClock().now())
    # Apple answers 429 to a second token of a key within 20 minutes.
    simulators.apns.__init__(strict, simulators.outbox, SystemClock(), token_update_interval_s=1200)  # type: ignore[misc]
    carriers = build(apps=[{"name": "kiosk", "topic": SECOND_TOPIC}])
    simulators.faults.set([Rule(GoAway(includes_call=True), provider="apns", every=2)])  # new connections all the time
    for _ in range(3):
        for carrier in carriers.values():
            assert isinstance(await carrier.send(tell(title="T"), phone, now=SystemClock().now()), Accepted)
    assert [item.headers["apns-topic"] for item in simulators.outbox.items()] == [TOPIC, SECOND_TOPIC] * 3


async def test_a_certificate_stands_in_for_a_token(
    build: Build, simulators: Simulators, tell: Callable[..., Notification], phone: Device, simulators_folder: Path
) -> None:
    certificate = {"team_id": "", "key_id": "", "private_key": "", "cert_file": str(simulators_folder / "apns-client.pem")}
    apns = build(**certificate)["apns"]
    outcomes = await asyncio.gather(*(apns.send(tell(title="T"), phone, now=SystemClock().now()) for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert len(simulators.outbox.items()) == 50


async def test_a_certificate_for_another_app_pauses(
    build: Build, tell: Callable[..., Notification], phone: Device, simulators_folder: Path
) -> None:
    certificate = {"team_id": "", "key_id": "", "private_key": "", "cert_file": str(simulators_folder / "apns-client.pem")}
    apns = build(**certificate, topic=SECOND_TOPIC)["apns"]
    assert await apns.send(tell(title="T"), phone, now=SystemClock().now()) == ConfigPause("TopicDisallowed")


LIVE = {"event": "update", "content-state": {"goals": 2}}


@pytest.mark.parametrize(
    ("content", "push_type", "topic", "priority"),
    [
        ({"title": "T"}, "alert", TOPIC, "10"),
        ({"data": {"sync": 1}}, "background", TOPIC, "5"),
        ({"title": "Ann", "push_type": PushType.VOIP}, "voip", f"{TOPIC}.voip", "10"),
        ({"data": LIVE, "push_type": PushType.LIVE_ACTIVITY}, "liveactivity", f"{TOPIC}.push-type.liveactivity", "5"),
    ],
)
async def test_push_types_are_taken(
    build: Build,
    simulators: Simulators,
    tell: Callable[..., Notification],
    phone: Device,
    content: dict[str, Any],
    push_type: str,
    topic: str,
    priority: str,
) -> None:
    assert isinstance(await build()["apns"].send(tell(**content), phone, now=SystemClock().now()), Accepted)
    headers = simulators.outbox.items()[0].headers
    assert (headers["apns-push-type"], headers["apns-topic"], headers["apns-priority"]) == (push_type, topic, priority)


async def test_an_app_of_voip_tokens_takes_nothing_else(build: Build, tell: Callable[..., Notification], phone: Device) -> None:
    calls = build(push_types=["alert", "background"], apps=[{"name": "calls", "push_types": ["voip"]}])
    ringing = tell(title="Ann", push_type=PushType.VOIP)
    now = SystemClock().now()
    assert isinstance(await calls["apns"].send(ringing, phone, now=now), DropMessage)
    assert isinstance(await calls["apns:calls"].send(ringing, phone, now=now), Accepted)
    assert isinstance(await calls["apns:calls"].send(tell(title="T"), phone, now=now), DropMessage)
