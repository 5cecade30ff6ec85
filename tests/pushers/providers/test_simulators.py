"""Every provider against its simulator over the real protocol: taken, unregistered, busy, refused."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.settings import ProvidersSettings
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, DropDevice, DropMessage, Retry
from pushers.provider import Provider
from pushers.providers.configured import build_providers

NAMES = ("apns", "fcm", "webpush", "email")
APNS_WORDS = {"taken": "a1" * 32, "unregistered": "dead" * 16, "busy": "b005" * 16, "refused": "bad0" * 16}


@pytest.fixture
async def simulators(tmp_path: Path) -> AsyncIterator[Simulators]:
    async with Simulators(tmp_path) as simulators:
        yield simulators


@pytest.fixture
async def providers(simulators: Simulators) -> AsyncIterator[Mapping[str, Provider]]:
    built = build_providers(ProvidersSettings.model_validate(simulators.providers), clock=SystemClock())
    yield {str(provider.name): provider for provider in built}
    for provider in built:
        await provider.close()


@pytest.fixture
def notification(make_notification: Callable[..., Notification]) -> Notification:
    now = SystemClock().now()
    made = make_notification(
        title="Order 7",
        body="It has left",
        data={"order": 7},
        link="https://shop.example/7",
        image="https://shop.example/7.png",
    )
    return msgspec.structs.replace(made, created_at=now, expires_at=now + (made.expires_at - made.created_at))


@pytest.fixture
def device(simulators: Simulators, make_device: Callable[..., Device]) -> Callable[[str, str], Device]:
    def make(provider: str, word: str) -> Device:
        if provider == "webpush":
            token = msgspec.json.encode(simulators.mint_subscription(word)).decode()
        else:
            token = {"apns": APNS_WORDS[word], "fcm": f"token:{word}", "email": f"{word}@mail.example"}[provider]
        return make_device(ProviderName(provider), token)

    return make


def test_all_four_are_built(providers: Mapping[str, Provider]) -> None:
    assert tuple(providers) == NAMES


@pytest.mark.parametrize("name", NAMES)
async def test_taken(
    name: str,
    providers: Mapping[str, Provider],
    simulators: Simulators,
    notification: Notification,
    device: Callable[[str, str], Device],
) -> None:
    outcome = await providers[name].send(notification, device(name, "taken"), now=SystemClock().now())
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    (item,) = simulators.outbox.items()
    assert (item.provider, item.title, item.notification_id) == (name, "Order 7", notification.id)
    assert "It has left" in item.body
    if name == "webpush":
        assert item.decrypted
    if name != "email":
        assert (item.link, item.image) == ("https://shop.example/7", "https://shop.example/7.png")
        assert str(item.data["order"]) == "7"


@pytest.mark.parametrize("name", NAMES)
async def test_unregistered(
    name: str, providers: Mapping[str, Provider], notification: Notification, device: Callable[[str, str], Device]
) -> None:
    outcome = await providers[name].send(notification, device(name, "unregistered"), now=SystemClock().now())
    assert isinstance(outcome, DropDevice)
    assert outcome.confident


@pytest.mark.parametrize("name", NAMES)
async def test_busy_then_taken(
    name: str, providers: Mapping[str, Provider], notification: Notification, device: Callable[[str, str], Device]
) -> None:
    busy = device(name, "busy")
    assert isinstance(await providers[name].send(notification, busy, now=SystemClock().now()), Retry)
    assert isinstance(await providers[name].send(notification, busy, now=SystemClock().now()), Accepted)


@pytest.mark.parametrize("name", NAMES)
async def test_refused(
    name: str, providers: Mapping[str, Provider], notification: Notification, device: Callable[[str, str], Device]
) -> None:
    assert isinstance(await providers[name].send(notification, device(name, "refused"), now=SystemClock().now()), DropMessage)
