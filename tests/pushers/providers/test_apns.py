"""The response table of APNs row by row, and what a call carries."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.settings import ApnsSettings
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.apns import ApnsProvider, classify
from pushers.providers.apns_token import ProviderToken
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpResponse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEVICE_PAUSE = Retry("TooManyRequests", 60.0, scope="device", is_failure=False)


def response(status: int, reason: str = "", headers: dict[str, str] | None = None, **members: Any) -> HttpResponse:
    body = json.dumps({"reason": reason, **members}).encode() if reason else b""
    return HttpResponse(status, body, tuple(f"{name}: {value}\r\n".encode() for name, value in (headers or {}).items()))


PAUSES = ("BadTopic", "MissingTopic", "TopicDisallowed")
BUGS = (
    "BadCollapseId",
    "BadExpirationDate",
    "BadMessageId",
    "BadPriority",
    "InvalidPushType",
    "DuplicateHeaders",
    "MissingDeviceToken",
    "PayloadEmpty",
)
CREDENTIALS = (
    "InvalidProviderToken",
    "MissingProviderToken",
    "BadCertificate",
    "BadCertificateEnvironment",
    "Forbidden",
    "UnrelatedKeyIdInToken",
    "BadEnvironmentKeyIdInToken",
)
TABLE: list[tuple[HttpResponse, SendOutcome]] = [
    (response(200, headers={"apns-id": "a-b"}), Accepted("a-b")),
    (response(400, "BadDeviceToken"), DropDevice("BadDeviceToken", NOW, confident=False)),
    (response(400, "DeviceTokenNotForTopic"), DropDevice("DeviceTokenNotForTopic", NOW, confident=False)),
    *((response(400, reason), ConfigPause(reason)) for reason in PAUSES),
    *((response(400, reason), DropMessage(reason)) for reason in BUGS),
    (response(404, "BadPath"), DropMessage("BadPath")),
    (response(405, "MethodNotAllowed"), DropMessage("MethodNotAllowed")),
    (response(400, "IdleTimeout"), Retry("IdleTimeout", 0.0)),
    (response(403, "ExpiredProviderToken"), Retry("ExpiredProviderToken", 0.0, scope="lane", is_failure=False)),
    *((response(403, reason), ConfigPause(reason)) for reason in CREDENTIALS),
    (response(410, "Unregistered", timestamp=1767225540000), DropDevice("Unregistered", NOW - timedelta(minutes=1))),
    (response(410, "ExpiredToken", timestamp=1767225540000), DropDevice("ExpiredToken", NOW - timedelta(minutes=1))),
    (response(410, "Unregistered"), DropDevice("Unregistered", NOW)),
    (response(410, "Unregistered", timestamp=9e18), DropDevice("Unregistered", NOW)),
    (response(410, "Unregistered", timestamp="soon"), DropDevice("Unregistered", NOW)),
    (response(410, "Unregistered", timestamp=1767225600001), DropDevice("Unregistered", NOW)),
    (response(413, "PayloadTooLarge"), TooLarge(4096)),
    (response(429, "TooManyRequests"), DEVICE_PAUSE),
    (response(429, "TooManyRequests", {"retry-after": "7"}), Retry("TooManyRequests", 7.0, scope="device", is_failure=False)),
    (response(429, "TooManyProviderTokenUpdates"), ConfigPause("TooManyProviderTokenUpdates", 1200.0)),
    (response(500, "InternalServerError"), Retry("InternalServerError")),
    (
        response(503, "ServiceUnavailable", {"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}),
        Retry("ServiceUnavailable", 30.0, is_failure=False),
    ),
    (response(503, "Shutdown"), Retry("Shutdown")),
    # without a body, with another one, or with a word that is new
    (response(500), Retry("status 500")),
    (HttpResponse(503, b"<html>busy</html>"), Retry("status 503")),
    (HttpResponse(400, b"[1]"), DropMessage("status 400")),
    (HttpResponse(403, b"\xff"), ConfigPause("status 403")),
    (response(400, "NewReason"), DropMessage("NewReason")),
    (response(410, "NewReason"), DropDevice("NewReason", NOW)),
    (response(302), DropMessage("status 302")),
]


@pytest.mark.parametrize(("answer", "expected"), TABLE)
def test_response_table(answer: HttpResponse, expected: SendOutcome) -> None:
    assert classify(answer, now=NOW) == expected


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_answer_has_an_outcome(status: int, body: bytes) -> None:
    assert isinstance(classify(HttpResponse(status, body), now=NOW), SendOutcome)


def test_what_was_cut_is_told() -> None:
    assert classify(response(200), now=NOW, cuts=("image -9 bytes", "body -7 bytes")) == Accepted(
        "", "image -9 bytes, body -7 bytes"
    )


@pytest.fixture
async def provider(server: Any, ca_file: str) -> AsyncIterator[ApnsProvider]:
    settings = ApnsSettings.model_validate(
        {
            "url": server.url + "/",
            "team_id": "TEAM",
            "key_id": "KEY",
            "private_key": "-",
            "topic": "io.example",
            "timeout": "300ms",
        }
    )
    provider = ApnsProvider(
        settings, ProviderToken("T", "K", ec.generate_private_key(ec.SECP256R1())), HttpTransport(ca_file=ca_file)
    )
    yield provider
    await provider.close()


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.APNS, "ab" * 32)


async def test_request(
    server: Any, provider: ApnsProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    server.answer = lambda exchange: exchange.reply(200, b"", {"apns-id": exchange.headers["apns-id"]})
    outcome = await provider.send(make_notification(title="T"), device, now=NOW)
    headers = server.exchanges[0].headers
    assert headers[":path"] == "/3/device/" + "ab" * 32
    assert headers["authorization"].startswith("bearer ey")
    assert headers["apns-topic"] == "io.example"
    assert outcome == Accepted(headers["apns-id"])


async def test_expired_token_is_replaced_once(
    server: Any, provider: ApnsProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    server.answer = lambda exchange: exchange.reply(403, b'{"reason":"ExpiredProviderToken"}')
    notification = make_notification(title="T")
    assert isinstance(await provider.send(notification, device, now=NOW), Retry)
    assert await provider.send(notification, device, now=NOW) == ConfigPause("ExpiredProviderToken")
    first, second = (exchange.headers["authorization"] for exchange in server.exchanges)
    assert first != second


async def test_silence_is_ambiguous(
    server: Any, provider: ApnsProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    server.answer = lambda exchange: None
    assert isinstance(await provider.send(make_notification(title="T"), device, now=NOW), Ambiguous)


async def test_too_large_is_never_sent(
    server: Any, provider: ApnsProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    notification = make_notification(title="T", data={"k": "v" * 5000})
    assert await provider.send(notification, device, now=NOW) == TooLarge(4096)
    assert not server.exchanges
