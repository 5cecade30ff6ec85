"""Text messages: Twilio's form and codes, and both ways against the simulator."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings, SmsSettings
from loadtest.simulators.faults import CloseConnection, Respond, Rule
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.sms import SmsText
from pushers.provider import Provider
from pushers.providers.configured import build_providers
from pushers.providers.http_message import HttpResponse
from pushers.providers.sms import build_twilio, classify_twilio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = SmsText("Hi & bye", "gsm7", 1, ("text -3 characters",))
SETTINGS: dict[str, Any] = {"account_sid": "AC1", "auth_token": "t", "sender": "+15005550006"}


@pytest.fixture
def phone(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.SMS, "+15005550006")


def form(notification: Notification, device: Device, *, now: datetime = NOW, **changes: Any) -> dict[str, str]:
    settings = SmsSettings.model_validate({**SETTINGS, **changes})
    request = build_twilio(TEXT, notification, device, settings=settings, authorization="Basic x", now=now)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return {name: value for name, (value,) in parse_qs(request.body.decode(), strict_parsing=True).items()}


def test_form_of_a_message(make_notification: Callable[..., Notification], phone: Device) -> None:
    fields = form(make_notification(title="T", ttl_s=90), phone)
    assert fields == {"To": "+15005550006", "From": "+15005550006", "Body": "Hi & bye", "ValidityPeriod": "90"}


@pytest.mark.parametrize(("ttl_s", "validity"), [(0.5, "1"), (36000, "36000"), (90000, "36000")])
def test_validity_stays_in_what_twilio_takes(
    make_notification: Callable[..., Notification], phone: Device, ttl_s: float, validity: str
) -> None:
    assert form(make_notification(title="T", ttl_s=ttl_s), phone)["ValidityPeriod"] == validity


def test_messaging_service_and_callback(make_notification: Callable[..., Notification], phone: Device) -> None:
    service = "MG" + "0" * 32
    fields = form(make_notification(title="T"), phone, sender=service, status_callback="https://shop.example/sms")
    assert fields["MessagingServiceSid"] == service
    assert "From" not in fields
    query = "notification=019b76da-a800-7000-8000-00000000000a&device=device-1"
    assert fields["StatusCallback"] == f"https://shop.example/sms?{query}"


def test_where_it_is_posted(make_notification: Callable[..., Notification], phone: Device) -> None:
    for url, host in (("", "https://api.twilio.com"), ("https://sms.example/", "https://sms.example")):
        settings = SmsSettings.model_validate({**SETTINGS, "url": url})
        request = build_twilio(TEXT, make_notification(title="T"), phone, settings=settings, authorization="", now=NOW)
        assert request.url == f"{host}/2010-04-01/Accounts/AC1/Messages.json"


def error(status: int, code: int | None = None, **headers: str) -> HttpResponse:
    body = b"" if code is None else msgspec.json.encode({"code": code, "message": "to +15005550006", "status": status})
    return HttpResponse(
        status, body, tuple(f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in headers.items())
    )


TABLE: list[tuple[HttpResponse, SendOutcome]] = [
    (HttpResponse(201, b'{"sid":"SM1","error_code":null}'), Accepted("SM1", "text -3 characters")),
    (error(400, 21211), DropDevice("21211 invalid number", NOW)),
    (error(400, 21610), DropDevice("21610 unsubscribed", NOW)),
    (error(400, 21614), DropDevice("21614 not a mobile number", NOW)),
    (error(400, 21408), DropMessage("21408 region not permitted")),
    (error(400, 21617), DropMessage("21617 400")),
    (error(400, 30007), DropMessage("30007 400")),
    (error(400), DropMessage("status 400")),
    (error(400, 21606), ConfigPause("21606 sender not ours")),
    (error(400, 21212), ConfigPause("21212 invalid sender")),
    (error(401, 20003), ConfigPause("20003 wrong credentials")),
    (error(403), ConfigPause("status 403")),
    (error(404, 20404), ConfigPause("20404 no such account")),
    (error(429, 20429), Retry("20429 too many requests", 60.0, "lane", is_failure=False)),
    (error(429, 20429, retry_after="7"), Retry("20429 too many requests", 7.0, "lane", is_failure=False)),
    (error(400, 21611), Retry("21611 queue full", 60.0, "lane", is_failure=False)),
    (error(500), Retry("status 500")),
    (error(503, retry_after="9"), Retry("status 503", 9.0, is_failure=False)),
    (HttpResponse(502, b"<html>bad gateway"), Retry("status 502")),
]


@pytest.mark.parametrize(("response", "expected"), TABLE)
def test_what_an_answer_means(response: HttpResponse, expected: SendOutcome) -> None:
    outcome = classify_twilio(response, now=NOW, text=TEXT)
    assert outcome == expected
    assert "15005550006" not in str(outcome), "Twilio's texts repeat numbers"


# Against the simulator


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
        yield simulators


@pytest.fixture
async def build(simulators: Simulators) -> AsyncIterator[Callable[..., Provider]]:
    built: list[Provider] = []

    def make(**changes: Any) -> Provider:
        settings = ProvidersSettings.model_validate({"sms": {**simulators.providers["sms"], **changes}})
        built.extend(build_providers(settings, clock=SystemClock()))
        return built[-1]

    yield make
    for provider in built:
        await provider.close()


@pytest.fixture
def hooked(simulators: Simulators) -> dict[str, Any]:
    """Changes that turn the simulator's settings into those of the signed webhook."""
    settings = simulators.providers["sms"]
    return {
        "kind": "webhook",
        "url": f"{settings['url']}/sms",
        "secret": simulators.providers["webhook"]["secret"],
        "account_sid": "",
        "auth_token": "",
        "sender": "",
        "status_callback": "",
    }


@pytest.fixture
def notification(make_notification: Callable[..., Notification]) -> Notification:
    now = SystemClock().now()
    return msgspec.structs.replace(
        make_notification(title="Order 7", body="It has left"), created_at=now, expires_at=now + timedelta(hours=1)
    )


async def test_wrong_token_pauses_until_it_is_mended(  # N-13
    build: Callable[..., Provider], notification: Notification, phone: Device
) -> None:
    outcome = await build(auth_token="wrong").send(notification, phone, now=SystemClock().now())
    assert outcome == ConfigPause("20003 wrong credentials")


async def test_no_answer_is_never_repeated_for_a_repeat_costs_as_much(
    build: Callable[..., Provider], simulators: Simulators, notification: Notification, phone: Device
) -> None:
    simulators.faults.set([Rule(CloseConnection(), provider="sms", taken=True)])
    outcome = await build().send(notification, phone, now=SystemClock().now())
    assert isinstance(outcome, Ambiguous)
    assert not outcome.may_repeat
    assert len(simulators.outbox.items()) == 1


async def test_the_signed_webhook_is_understood_by_a_receiver_that_checks(
    build: Callable[..., Provider], hooked: dict[str, Any], simulators: Simulators, notification: Notification, phone: Device
) -> None:
    outcome = await build(**hooked).send(notification, phone, now=SystemClock().now())
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    (item,) = simulators.outbox.items()
    assert (item.address, item.body, item.notification_id) == ("+15005550006", "Order 7\nIt has left", notification.id)


async def test_secrets_change_without_a_gap(
    build: Callable[..., Provider], hooked: dict[str, Any], notification: Notification, phone: Device
) -> None:
    known = hooked["secret"]
    rotated = build(**hooked | {"secret": "the-next-secret-of-ours", "previous_secret": known})
    assert isinstance(await rotated.send(notification, phone, now=SystemClock().now()), Accepted)
    alone = build(**hooked | {"secret": "the-next-secret-of-ours"})
    assert await alone.send(notification, phone, now=SystemClock().now()) == ConfigPause("status 401")


async def test_the_signed_webhook_may_be_repeated(
    build: Callable[..., Provider], hooked: dict[str, Any], simulators: Simulators, notification: Notification, phone: Device
) -> None:
    simulators.faults.set([Rule(CloseConnection(), provider="sms", nth=1, taken=True)])
    outcome = await build(**hooked).send(notification, phone, now=SystemClock().now())
    assert isinstance(outcome, Ambiguous)
    assert outcome.may_repeat


async def test_provider_says_when_to_come_back(  # R11
    build: Callable[..., Provider], simulators: Simulators, notification: Notification, phone: Device
) -> None:
    simulators.faults.set([Rule(Respond(429, headers={"retry-after": "31"}), provider="sms", nth=1)])
    outcome = await build().send(notification, phone, now=SystemClock().now())
    assert outcome == Retry("20429 too many requests", 31.0, "lane", is_failure=False)


@pytest.mark.parametrize(("prefixes", "is_sent"), [([], True), (["+1"], True), (["+49", "+43"], False)])
async def test_numbers_outside_the_prefixes_are_not_written_to(
    build: Callable[..., Provider],
    simulators: Simulators,
    notification: Notification,
    phone: Device,
    prefixes: list[str],
    is_sent: bool,
) -> None:
    outcome = await build(allowed_prefixes=prefixes).send(notification, phone, now=SystemClock().now())
    assert isinstance(outcome, Accepted if is_sent else DropMessage)
    assert len(simulators.outbox.items()) == is_sent


async def test_link_too_long_for_the_parts(
    build: Callable[..., Provider], make_notification: Callable[..., Notification], phone: Device
) -> None:
    notification = make_notification(title="T", link="https://s.example/" + "x" * 400)
    assert await build(max_segments=1).send(notification, phone, now=NOW) == TooLarge(140)
