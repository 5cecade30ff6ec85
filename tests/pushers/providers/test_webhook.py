"""Webhooks: one address of the operator's, or addresses that devices name, behind the guard."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.notification import Device, Notification, Terms, device_of_url
from broker.notification import Provider as ProviderName
from config.clock import ManualClock, SystemClock
from config.egress import Pins
from config.provider_settings import ProvidersSettings, WebhookSettings
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, DropDevice, DropMessage, Retry
from pushers.provider import Provider
from pushers.providers.configured import build_providers
from pushers.providers.http import HttpTransport
from pushers.providers.webhook import WebhookProvider


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
        yield simulators


@pytest.fixture
async def build(simulators: Simulators) -> AsyncIterator[Callable[..., Provider]]:
    built: list[Provider] = []

    def make(**changes: Any) -> Provider:
        settings = ProvidersSettings.model_validate({"webhook": {**simulators.providers["webhook"], **changes}})
        built.extend(build_providers(settings, clock=SystemClock()))
        return built[-1]

    yield make
    for provider in built:
        await provider.close()


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Callable[[str], Device]:
    return lambda token: make_device(ProviderName.WEBHOOK, token)


async def test_a_device_names_its_address(
    build: Callable[..., Provider],
    simulators: Simulators,
    make_notification: Callable[..., Notification],
    device: Callable[[str], Device],
) -> None:
    notification = make_notification(title="T", data={"a": 1})
    outcome = await build().send(notification, device("https://hooks.example.org/T1"), now=SystemClock().now())
    assert isinstance(outcome, Accepted)
    (item,) = simulators.outbox.items()
    assert (item.address, item.title, item.data) == ("https://hooks.example.org/T1", "T", {"a": 1})


async def test_one_address_for_all_is_told_whom_it_is_for(
    build: Callable[..., Provider],
    simulators: Simulators,
    make_notification: Callable[..., Notification],
    device: Callable[[str], Device],
) -> None:
    provider = build(url=f"https://{simulators.providers['webhook']['connect_to']}/all", connect_to="", allowed_hosts=[])
    for token in ("pager-of-ann", "https://evil.example/"):
        assert isinstance(await provider.send(make_notification(title="T"), device(token), now=SystemClock().now()), Accepted)
    assert [item.address for item in simulators.outbox.items()] == ["pager-of-ann", "https://evil.example/"]


# R22: whatever is no plain public https address within the allow-list is never called.
FORBIDDEN = [
    "pager-of-ann",
    "http://hooks.example.org/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://[::1]/",
    "https://localhost/",
    "https://redis.internal/",
    "https://hooks.example.org:6379/",
    "https://ann@hooks.example.org/",
    "https://hooks.example.org.evil.example/",
    "https://evilhooks.example.org.example/",
    "https://169.254.169.254/latest/meta-data/",
]


@pytest.mark.parametrize("token", FORBIDDEN)
async def test_addresses_behind_the_guard_are_not_called(
    build: Callable[..., Provider],
    simulators: Simulators,
    make_notification: Callable[..., Notification],
    device: Callable[[str], Device],
    token: str,
) -> None:
    provider = build(allowed_hosts=["hooks.example.org"])
    outcome = await provider.send(make_notification(title="T"), device(token), now=SystemClock().now())
    assert isinstance(outcome, DropMessage)
    assert simulators.statistics()["webhook"].calls == 0


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["10.0.0.1"], DropMessage("host name leads to an address that is not public")),
        (["93.184.215.14", "127.0.0.1"], DropMessage("host name leads to an address that is not public")),
        ([], Retry("host name without an address", scope="device", is_failure=False)),
    ],
)
async def test_names_that_lead_into_the_private_network(
    make_notification: Callable[..., Notification], device: Callable[[str], Device], addresses: list[str], expected: Any
) -> None:
    settings = WebhookSettings.model_validate({"secret": "0123456789abcdef", "allowed_hosts": ["*"]})
    provider = WebhookProvider(settings, ("0123456789abcdef",), HttpTransport(), Pins(ManualClock(), lambda _: addresses))
    outcome = await provider.send(make_notification(title="T"), device("https://hooks.example.org/"), now=SystemClock().now())
    assert outcome == expected
    await provider.close()


async def test_whose_address_is_gone_is_forgotten(
    build: Callable[..., Provider], make_notification: Callable[..., Notification], device: Callable[[str], Device]
) -> None:
    gone = device("https://hooks.example.org/unregistered")
    outcome = await build().send(make_notification(title="T"), gone, now=SystemClock().now())
    assert isinstance(outcome, DropDevice)
    assert outcome.confident


async def test_a_repeat_says_the_same(
    simulators: Simulators,
    build: Callable[..., Provider],
    make_notification: Callable[..., Notification],
    device: Callable[[str], Device],
) -> None:
    provider, notification = build(), make_notification(title="T")
    for _ in range(2):
        await provider.send(notification, device("https://hooks.example.org/T1"), now=SystemClock().now())
    first, second = (msgspec.structs.replace(item, at=0.0) for item in simulators.outbox.items())
    assert first == second


async def test_an_address_that_a_notification_brings_is_called_also_beside_the_operator_s(
    build: Callable[..., Provider],
    simulators: Simulators,
    make_notification: Callable[..., Notification],
) -> None:
    connect_to = simulators.providers["webhook"]["connect_to"]
    provider = build(url="https://nowhere.example.org/", connect_to=connect_to, allowed_hosts=[])
    notification = make_notification(title="T")
    terms = Terms(to_url="https://pager.example.org/ann", escalates="n-1")
    notification = msgspec.structs.replace(notification, terms=terms)
    device = device_of_url(notification)
    assert device is not None
    assert isinstance(await provider.send(notification, device, now=SystemClock().now()), Accepted)
    (item,) = simulators.outbox.items()
    assert item.address == "https://pager.example.org/ann"


# R22: it is looked at as what devices name is.
@pytest.mark.parametrize(
    ("url", "allowed_hosts"),
    [
        ("https://127.0.0.1/", ()),
        ("https://pager.example.org/", ("hooks.example.org",)),
        ("https://pager.example.org/", ()),  # whose name leads to 10.0.0.1
    ],
)
async def test_an_address_that_a_notification_brings_is_guarded(
    make_notification: Callable[..., Notification], url: str, allowed_hosts: tuple[str, ...]
) -> None:
    settings = WebhookSettings(url="https://hooks.example.org/all", allowed_hosts=allowed_hosts)
    pins = Pins(ManualClock(), lambda _: ["10.0.0.1"])
    provider = WebhookProvider(settings, ("0123456789abcdef",), HttpTransport(), pins)
    notification = msgspec.structs.replace(make_notification(title="T"), terms=Terms(to_url=url))
    device = device_of_url(notification)
    assert device is not None
    assert isinstance(await provider.send(notification, device, now=SystemClock().now()), DropMessage)
    await provider.close()
