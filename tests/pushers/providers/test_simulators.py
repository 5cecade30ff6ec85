"""Every provider against its simulator over the real protocol: taken, unregistered, busy, refused, and in trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.settings import ProvidersSettings
from loadtest.simulators.faults import (
    Action,
    CloseConnection,
    GoAway,
    LimitStreams,
    ResetStream,
    Respond,
    Rule,
    SplitBody,
)
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, Ambiguous, DropDevice, DropMessage, Retry
from pushers.provider import Provider
from pushers.providers.configured import build_providers

NAMES = ("apns", "fcm", "webpush", "email", "sms", "webhook")
NUMBERS = {"taken": "+15005550006", "unregistered": "+15005550004", "busy": "+15005550008", "refused": "+15005550002"}
APNS_WORDS = {"taken": "a1" * 32, "unregistered": "dead" * 16, "busy": "b005" * 16, "refused": "bad0" * 16}


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
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
            token = {
                "apns": APNS_WORDS[word],
                "fcm": f"token:{word}",
                "email": f"{word}@mail.example",
                "sms": NUMBERS[word],
                "webhook": f"https://hooks.example.org/T1/{word}",
            }[provider]
        return make_device(ProviderName(provider), token)

    return make


def test_all_are_built(providers: Mapping[str, Provider]) -> None:
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
    assert (item.provider, item.title or item.body[:7], item.notification_id) == (name, "Order 7", notification.id)
    assert "It has left" in item.body
    if name == "webpush":
        assert item.decrypted
    if name not in ("email", "sms"):
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


HTTP_NAMES = ("apns", "fcm", "webpush", "webhook")
FAULTS = [
    (Respond(503, headers={"retry-after": "17"}), Retry),
    (Respond(500, body=""), Retry),
    (Respond(502, body="<html>bad gateway</html>"), Retry),
    (Respond(429, headers={"retry-after": "5"}), Retry),
    (SplitBody(1), Accepted),
    (LimitStreams(1), Accepted),
    (ResetStream(8), Ambiguous),
    (CloseConnection(), Ambiguous),
    (GoAway(includes_call=True), Accepted),
    (GoAway(), Accepted),
    (ResetStream(7), Accepted),
]


@pytest.mark.parametrize(("action", "expected"), FAULTS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("name", HTTP_NAMES)
async def test_fault_of_one_call(
    name: str,
    action: Action,
    expected: type,
    providers: Mapping[str, Provider],
    simulators: Simulators,
    notification: Notification,
    device: Callable[[str, str], Device],
) -> None:
    now = SystemClock().now()
    target = device(name, "taken")
    assert isinstance(await providers[name].send(notification, target, now=now), Accepted)
    simulators.faults.set([Rule(action, provider=name, nth=1)])
    outcome = await providers[name].send(notification, target, now=now)
    assert isinstance(outcome, expected)
    if isinstance(action, Respond) and action.headers:
        assert isinstance(outcome, Retry)
        assert outcome.after_s == float(action.headers["retry-after"])
    assert isinstance(await providers[name].send(notification, target, now=now), Accepted)


@pytest.mark.parametrize("name", HTTP_NAMES)
async def test_burst_among_faults_loses_none_and_doubles_only_the_unknown(
    name: str,
    providers: Mapping[str, Provider],
    simulators: Simulators,
    notification: Notification,
    device: Callable[[str, str], Device],
) -> None:
    simulators.faults.set(
        [
            Rule(ResetStream(8), provider=name, every=17, taken=True),
            Rule(GoAway(includes_call=True), provider=name, every=41),
            Rule(Respond(500, body=""), provider=name, every=13),
        ]
    )
    target, now = device(name, "taken"), SystemClock().now()
    notifications = [msgspec.structs.replace(notification, id=str(SystemClock().new_id())) for _ in range(200)]
    unknown: set[str] = set()

    async def send_until_taken(each: Notification) -> None:
        while not isinstance(outcome := await providers[name].send(each, target, now=now), Accepted):
            assert isinstance(outcome, Ambiguous | Retry), outcome
            if isinstance(outcome, Ambiguous):
                unknown.add(each.id)

    await asyncio.gather(*map(send_until_taken, notifications))
    received = Counter(item.notification_id for item in simulators.outbox.items())
    assert set(received) == {each.id for each in notifications}
    assert {each for each, count in received.items() if count > 1} <= unknown
    assert unknown


async def test_mail_lost_after_the_final_dot_is_ambiguous(
    providers: Mapping[str, Provider], simulators: Simulators, notification: Notification, device: Callable[[str, str], Device]
) -> None:
    simulators.faults.set([Rule(CloseConnection(), provider="email", nth=1, taken=True)])
    target, now = device("email", "taken"), SystemClock().now()
    assert isinstance(await providers["email"].send(notification, target, now=now), Ambiguous)
    assert isinstance(await providers["email"].send(notification, target, now=now), Accepted)
    first, second = simulators.outbox.items()
    assert first.headers["message-id"] == second.headers["message-id"]


async def test_apns_takes_a_burst_from_a_client_that_it_does_not_know(
    providers: Mapping[str, Provider], simulators: Simulators, notification: Notification, device: Callable[[str, str], Device]
) -> None:
    target, now = device("apns", "taken"), SystemClock().now()
    outcomes = await asyncio.gather(*(providers["apns"].send(notification, target, now=now) for _ in range(100)))
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert len(simulators.outbox.items()) == 100
