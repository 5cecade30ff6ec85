"""The response table of Web Push row by row, subscriptions, and what may never be called."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import ManualClock
from config.egress import Pins
from config.settings import WebPushSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpResponse
from pushers.providers.vapid import Vapid
from pushers.providers.webpush import WebPushProvider, classify, read_subscription

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROWSER = ec.generate_private_key(ec.SECP256R1())
VAPID = Vapid(ec.generate_private_key(ec.SECP256R1()), "mailto:ops@shop.example")


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


POINT = BROWSER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def subscription(
    endpoint: str = "https://push.example/a", p256dh: str = base64url(POINT), auth: str = base64url(b"s" * 16)
) -> str:
    return json.dumps({"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": auth}})


def answer(status: int, body: bytes = b"", after: str = "") -> HttpResponse:
    return HttpResponse(status, body, (f"retry-after: {after}\r\n".encode(),) if after else ())


PAUSE = Retry("status 429", 60.0, scope="device", is_failure=False)
TABLE: list[tuple[HttpResponse, SendOutcome]] = [
    (HttpResponse(201, b"", (b"Location: https://push.example/m/1\r\n",)), Accepted("https://push.example/m/1")),
    (answer(200), Accepted()),
    (answer(202), Accepted()),
    (answer(204), Accepted()),
    (answer(400), DropMessage("status 400")),
    (answer(400, b'{"errno":113}'), DropMessage("status 400")),
    (answer(400, b'{"reason":"BadJwtToken"}'), ConfigPause("status 400")),
    (answer(400, b'{"reason":"VapidPkHashMismatch"}'), ConfigPause("status 400")),
    (answer(400, b'{"errno":109}'), ConfigPause("status 400")),
    (answer(400, b'{"errno":110}'), ConfigPause("status 400")),
    (answer(401), ConfigPause("status 401")),
    (answer(403), ConfigPause("status 403")),
    (answer(404), DropDevice("status 404", NOW)),
    (answer(410), DropDevice("status 410", NOW)),
    (answer(406), DropMessage("status 406")),
    (answer(413), TooLarge(3993)),
    (answer(429), PAUSE),
    (answer(429, after="12"), Retry("status 429", 12.0, scope="device", is_failure=False)),
    (answer(500), Retry("status 500")),
    (answer(503, after="30"), Retry("status 503", 30.0, is_failure=False)),
    (answer(301), DropMessage("status 301")),
    (answer(307), DropMessage("status 307")),
]


@pytest.mark.parametrize(("reply", "expected"), TABLE)
def test_response_table(reply: HttpResponse, expected: SendOutcome) -> None:
    assert classify(reply, now=NOW, host="push.example", knows_key=False) == expected


@pytest.mark.parametrize("reply", [answer(400, b'{"errno":109}'), answer(401), answer(403)])
def test_refused_key_speaks_of_the_subscription_where_the_key_is_known(reply: HttpResponse) -> None:
    outcome = classify(reply, now=NOW, host="push.example", knows_key=True)
    assert outcome == DropDevice(f"status {reply.status}", NOW, confident=False)


@pytest.mark.parametrize("host", ["notify.windows.com", "db5p.notify.windows.com"])
def test_windows_says_406_for_throttling(host: str) -> None:
    outcome = classify(answer(406), now=NOW, host=host, knows_key=False)
    assert outcome == Retry("status 406", 60.0, scope="device", is_failure=False)


@given(st.integers(100, 599), st.binary(max_size=100), st.booleans())
def test_any_answer_has_an_outcome(status: int, body: bytes, knows_key: bool) -> None:
    assert isinstance(classify(answer(status, body), now=NOW, host="h", knows_key=knows_key), SendOutcome)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "{}",
        "[]",
        "\ud800",
        subscription(p256dh="AA"),
        subscription(p256dh="é"),
        subscription(p256dh=base64url(b"\x04" + b"\x01" * 64)),
        subscription(auth=base64url(b"short")),
        subscription(auth="é" * 22),
        '{"endpoint":7,"keys":{"p256dh":"","auth":""}}',
    ],
)
def test_what_is_no_subscription(token: str) -> None:
    assert read_subscription(token) is None


def test_subscription_with_or_without_padding() -> None:
    padded = base64.urlsafe_b64encode(POINT).decode()
    for p256dh in (padded, padded.rstrip("=")):
        read = read_subscription(subscription(p256dh=p256dh))
        assert read is not None
        assert (read.endpoint, read.receiver.secret) == ("https://push.example/a", b"s" * 16)


class Names:
    """A resolver that knows one answer and counts."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    def __call__(self, _host: str) -> Sequence[str]:
        self.asked += 1
        if not self.addresses:
            raise OSError("no such name")
        return self.addresses


@pytest.fixture
async def make_provider(server: Any, ca_file: str) -> AsyncIterator[Callable[..., WebPushProvider]]:
    made: list[WebPushProvider] = []

    def make(names: Names, *, connect: bool = True, **options: Any) -> WebPushProvider:
        connect_to = f"127.0.0.1:{server.port}" if connect else ""
        settings = WebPushSettings.model_validate(
            {"vapid_private_key": "-", "subject": "mailto:a@b", "connect_to": connect_to, "timeout": "500ms", **options}
        )
        transport = HttpTransport(ca_file=ca_file, connect_to=connect_to)
        made.append(WebPushProvider(settings, VAPID, transport, Pins(ManualClock(), names)))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.WEBPUSH, subscription())


async def test_request_can_be_read_by_the_browser_alone(
    server: Any, make_provider: Callable[..., WebPushProvider], device: Device, make_notification: Callable[..., Notification]
) -> None:
    server.answer = lambda exchange: exchange.reply(201, b"", {"location": "https://push.example/m/1"})
    outcome = await make_provider(Names()).send(make_notification(title="T", body="B"), device, now=NOW)
    seen = server.exchanges[0]
    assert outcome == Accepted("https://push.example/m/1")
    assert seen.headers[":authority"] == "push.example"
    assert seen.headers[":path"] == "/a"
    assert seen.headers["authorization"] == VAPID.authorization("https://push.example", NOW)
    assert (seen.headers["ttl"], seen.headers["urgency"], seen.headers["content-encoding"]) == ("3600", "normal", "aes128gcm")
    plaintext = http_ece.decrypt(seen.body, private_key=BROWSER, auth_secret=b"s" * 16, version="aes128gcm")
    assert json.loads(plaintext)["title"] == "T"


async def test_key_that_was_just_taken_is_not_blamed(
    server: Any, make_provider: Callable[..., WebPushProvider], device: Device, make_notification: Callable[..., Notification]
) -> None:
    provider, notification = make_provider(Names()), make_notification(title="T")
    server.answer = lambda exchange: exchange.reply(403)
    assert isinstance(await provider.send(notification, device, now=NOW), ConfigPause)
    server.answer = lambda exchange: exchange.reply(201)
    assert isinstance(await provider.send(notification, device, now=NOW), Accepted)
    server.answer = lambda exchange: exchange.reply(403)
    assert isinstance(await provider.send(notification, device, now=NOW + timedelta(minutes=9)), DropDevice)
    assert isinstance(await provider.send(notification, device, now=NOW + timedelta(minutes=10)), ConfigPause)


@pytest.mark.parametrize(
    ("endpoint", "names"),
    [
        ("https://push.example/a", Names("8.8.8.8")),
        ("https://127.0.0.1/a", Names("127.0.0.1")),
        ("https://localhost/a", Names("127.0.0.1")),
        ("https://fcm.googleapis.com/a", Names("127.0.0.1")),
        ("https://fcm.googleapis.com/a", Names("8.8.8.8", "::1")),
    ],
)
async def test_forbidden_endpoint_is_never_called(
    server: Any,
    make_provider: Callable[..., WebPushProvider],
    make_device: Callable[..., Device],
    make_notification: Callable[..., Notification],
    endpoint: str,
    names: Names,
) -> None:
    device = make_device(ProviderName.WEBPUSH, subscription(endpoint))
    outcome = await make_provider(names, connect=False).send(make_notification(title="T"), device, now=NOW)
    assert isinstance(outcome, DropMessage)
    assert names.asked == (1 if "fcm" in endpoint else 0)
    assert not server.connections


async def test_name_that_is_not_found_is_tried_later(
    make_provider: Callable[..., WebPushProvider],
    make_device: Callable[..., Device],
    make_notification: Callable[..., Notification],
) -> None:
    device = make_device(ProviderName.WEBPUSH, subscription("https://fcm.googleapis.com/a"))
    outcome = await make_provider(Names(), connect=False).send(make_notification(title="T"), device, now=NOW)
    assert outcome == Retry("host name not found", scope="device", is_failure=False)


async def test_what_cannot_be_sent_is_not(
    server: Any, make_provider: Callable[..., WebPushProvider], device: Device, make_device: Callable[..., Device],
    make_notification: Callable[..., Notification],
) -> None:  # fmt: skip
    provider = make_provider(Names())
    assert isinstance(await provider.send(make_notification(data={"a": 1}), device, now=NOW), DropMessage)
    assert await provider.send(make_notification(title="T", data={"k": "v" * 4000}), device, now=NOW) == TooLarge(3993)
    broken = make_device(ProviderName.WEBPUSH, "{}")
    assert isinstance(await provider.send(make_notification(title="T"), broken, now=NOW), DropDevice)
    assert not server.exchanges
