"""The response table of FCM row by row, and what a call carries."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import ManualClock
from config.settings import FcmSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.fcm import FcmProvider, classify
from pushers.providers.fcm_token import AccessTokens, ServiceAccount
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpResponse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELD = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "message.data"}]}
DEVICE_QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"subject": "device:fcm-token"}]}


def response(status: int, code: str = "", *details: Any, state: str = "", after: str = "") -> HttpResponse:
    own = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    body = {"error": {"code": status, "message": "m", "status": state, "details": [*own, *details]}}
    return HttpResponse(status, json.dumps(body).encode(), (f"Retry-After: {after}\r\n".encode(),) if after else ())


TABLE: list[tuple[HttpResponse, SendOutcome]] = [
    (HttpResponse(200, b'{"name":"projects/p/messages/1"}'), Accepted("projects/p/messages/1")),
    (response(400, "INVALID_ARGUMENT", FIELD), DropMessage("INVALID_ARGUMENT")),
    (response(400, "INVALID_ARGUMENT"), DropDevice("INVALID_ARGUMENT", NOW, confident=False)),
    (response(400, "", FIELD, state="INVALID_ARGUMENT"), DropMessage("INVALID_ARGUMENT")),
    (response(401, state="UNAUTHENTICATED"), Retry("UNAUTHENTICATED", 0.0, scope="lane", is_failure=False)),
    (response(401, "THIRD_PARTY_AUTH_ERROR"), ConfigPause("THIRD_PARTY_AUTH_ERROR")),
    (response(401, "APNS_AUTH_ERROR"), ConfigPause("APNS_AUTH_ERROR")),
    (response(403, "SENDER_ID_MISMATCH"), DropDevice("SENDER_ID_MISMATCH", NOW, confident=False)),
    (response(403, state="PERMISSION_DENIED"), ConfigPause("PERMISSION_DENIED")),
    (response(404, "UNREGISTERED"), DropDevice("UNREGISTERED", NOW)),
    (response(404, state="NOT_FOUND"), ConfigPause("NOT_FOUND")),
    (response(413), TooLarge(4096)),
    (response(429, "QUOTA_EXCEEDED"), Retry("QUOTA_EXCEEDED", 60.0, scope="lane", is_failure=False, is_quota=True)),
    (
        response(429, "QUOTA_EXCEEDED", after="9"),
        Retry("QUOTA_EXCEEDED", 9.0, scope="lane", is_failure=False, is_quota=True),
    ),
    (response(429, "QUOTA_EXCEEDED", DEVICE_QUOTA), Retry("QUOTA_EXCEEDED", 60.0, scope="device", is_failure=False)),
    (response(500, "INTERNAL"), Retry("INTERNAL", 10.0)),
    (response(500, "INTERNAL", after="3"), Retry("INTERNAL", 3.0, is_failure=False)),
    (response(502), Retry("status 502")),
    (response(503, "UNAVAILABLE", after="30"), Retry("UNAVAILABLE", 30.0, is_failure=False)),
    (response(503, "UNAVAILABLE"), Retry("UNAVAILABLE")),
    (response(504), Retry("status 504")),
    (HttpResponse(503, b"<html>"), Retry("status 503")),
    (HttpResponse(404, b"<html>"), ConfigPause("status 404")),
    (HttpResponse(400, b'{"error":{"details":["x",{"@type":7}]}}'), DropMessage("status 400")),
    (HttpResponse(418, b'{"error":"x"}'), DropMessage("status 418")),
    (HttpResponse(302), DropMessage("status 302")),
]


@pytest.mark.parametrize(("answer", "expected"), TABLE)
def test_response_table(answer: HttpResponse, expected: SendOutcome) -> None:
    assert classify(answer, now=NOW) == expected


def test_bad_request_near_the_limit_is_about_size() -> None:
    answer = response(400, "INVALID_ARGUMENT")
    assert classify(answer, now=NOW, counted_bytes=3700) == TooLarge(4096)
    assert isinstance(classify(answer, now=NOW, counted_bytes=3600), DropDevice)


@given(st.integers(100, 599), st.binary(max_size=200) | st.from_regex(rb'\{"error":\{"details":\[.*\]\}\}', fullmatch=True))
def test_any_answer_has_an_outcome(status: int, body: bytes) -> None:
    assert isinstance(classify(HttpResponse(status, body), now=NOW), SendOutcome)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def provider(server: Any, ca_file: str, key: rsa.RSAPrivateKey) -> AsyncIterator[FcmProvider]:
    transport = HttpTransport(ca_file=ca_file)
    account = ServiceAccount("shop", "push@shop.example", server.url + "/token", "kid", key)
    tokens = AccessTokens(account, transport, ManualClock(), timeout_s=5)
    provider = FcmProvider(FcmSettings.model_validate({"url": server.url}), "shop", tokens, transport)
    yield provider
    await provider.close()


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.FCM, "token:1")


def answering(server: Any, status: int, body: bytes = b"{}") -> list[Any]:
    """Grant a new access token at each request for one, and answer messages with this; returns the messages' exchanges."""
    messages: list[Any] = []

    def answer(exchange: Any) -> None:
        if exchange.path == "/token":
            granted = sum(each.path == "/token" for each in server.exchanges)
            exchange.reply(200, json.dumps({"access_token": f"t{granted}", "expires_in": 3600}).encode())
        else:
            messages.append(exchange)
            exchange.reply(status, body)

    server.answer = answer
    return messages


async def test_request(
    server: Any, provider: FcmProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    messages = answering(server, 200, b'{"name":"n"}')
    assert await provider.send(make_notification(title="T"), device, now=NOW) == Accepted("n")
    assert messages[0].path == "/v1/projects/shop/messages:send"
    assert messages[0].headers["authorization"] == "Bearer t1"
    assert json.loads(messages[0].body)["message"]["token"] == "token:1"


async def test_refused_access_token_is_replaced_once(
    server: Any, provider: FcmProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    messages = answering(server, 401)
    notification = make_notification(title="T")
    assert isinstance(await provider.send(notification, device, now=NOW), Retry)
    assert await provider.send(notification, device, now=NOW) == ConfigPause("UNAUTHENTICATED")
    assert [each.headers["authorization"] for each in messages] == ["Bearer t1", "Bearer t2"]


async def test_refused_service_account_pauses(
    server: Any, provider: FcmProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    server.answer = lambda exchange: exchange.reply(400, b'{"error":"invalid_grant"}')
    assert isinstance(await provider.send(make_notification(title="T"), device, now=NOW), ConfigPause)


async def test_too_large_is_never_sent(
    server: Any, provider: FcmProvider, device: Device, make_notification: Callable[..., Notification]
) -> None:
    notification = make_notification(title="T", data={"k": "v" * 5000})
    assert await provider.send(notification, device, now=NOW) == TooLarge(4096)
    assert not server.exchanges
