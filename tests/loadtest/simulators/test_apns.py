"""Every check of APNs refuses with Apple's status and reason, and what passes is recorded."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import ManualClock
from loadtest.simulators.apns import ApnsService
from loadtest.simulators.credentials import Credentials
from loadtest.simulators.exchange import Reply, Request
from loadtest.simulators.outbox import Outbox

TOKEN = "0123456789abcdef" * 4
PAYLOAD = b'{"aps":{"alert":{"title":"T","body":"B"}},"hg_id":"n1","link":"https://x.test/","img":"https://x.test/i.png"}'


class Caller:
    """Sends a right request, except for what a test changes."""

    def __init__(self, credentials: Credentials, clock: ManualClock, sign: Callable[..., str], **options: Any) -> None:
        self.outbox = Outbox(clock)
        self.clock = clock
        self.service = ApnsService(credentials, self.outbox, clock, **options)
        self._sign = sign

    def token(self, **changes: Any) -> str:
        return self._sign(now=self.clock.now().timestamp(), **changes)

    def call(
        self,
        *,
        path: str = f"/3/device/{TOKEN}",
        method: str = "POST",
        body: bytes = PAYLOAD,
        repeated: bytes = b"",
        peer: str = "",
        **headers: str | None,
    ) -> Reply:
        fields = {
            "authorization": f"bearer {self.token()}" if "authorization" not in headers else None,
            "apns-topic": "test.simulator.app",
            "apns-push-type": "alert",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        kept = {name.encode(): value.encode() for name, value in fields.items() if value is not None}
        return self.service.take(Request(method, path, "127.0.0.1", kept, body, repeated, peer))


@pytest.fixture
def caller(credentials: Credentials, clock: ManualClock, make_apns_token: Callable[..., str]) -> Caller:
    return Caller(credentials, clock, make_apns_token)


def reason(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["reason"]


def test_what_passes_is_recorded(caller: Caller) -> None:
    reply = caller.call(
        apns_id="11111111-2222-3333-4444-555555555555",
        apns_priority="10",
        apns_expiration="1900000000",
        apns_collapse_id="c" * 64,
    )
    assert reply.status == 200
    assert dict(reply.headers)[b"apns-id"] == b"11111111-2222-3333-4444-555555555555"
    assert reply.body == b""
    (item,) = caller.outbox.items()
    assert (item.provider, item.address, item.title, item.body, item.notification_id) == ("apns", TOKEN, "T", "B", "n1")
    assert (item.link, item.image) == ("https://x.test/", "https://x.test/i.png")
    assert item.headers["apns-collapse-id"] == "c" * 64


def test_an_id_is_made_where_none_was_given(caller: Caller) -> None:
    first, second = dict(caller.call().headers), dict(caller.call().headers)
    assert len(first[b"apns-id"]) == 36
    assert first[b"apns-id"] != second[b"apns-id"]


def test_a_plain_alert_is_a_body(caller: Caller) -> None:
    caller.call(body=b'{"aps":{"alert":"hello"}}')
    (item,) = caller.outbox.items()
    assert (item.title, item.body, item.notification_id) == ("", "hello", "")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"path": "/3/devices/x"}, (404, "BadPath")),
        ({"path": "/"}, (404, "BadPath")),
        ({"method": "GET"}, (405, "MethodNotAllowed")),
        ({"path": "/3/device/"}, (400, "MissingDeviceToken")),
        ({"path": "/3/device/xyz"}, (400, "BadDeviceToken")),
        ({"path": f"/3/device/{'a' * 31}"}, (400, "BadDeviceToken")),
        ({"path": f"/3/device/{'a' * 201}"}, (400, "BadDeviceToken")),
        ({"path": f"/3/device/{'g' * 64}"}, (400, "BadDeviceToken")),
        ({"authorization": None}, (403, "MissingProviderToken")),
        ({"authorization": "basic abc"}, (403, "MissingProviderToken")),
        ({"authorization": "bearer "}, (403, "MissingProviderToken")),
        ({"authorization": "bearer nonsense"}, (403, "InvalidProviderToken")),
        ({"repeated": b"apns-topic"}, (400, "DuplicateHeaders")),
        ({"apns_id": "ABCDEF00-0000-0000-0000-000000000000"}, (400, "BadMessageId")),
        ({"apns_id": "not-a-uuid"}, (400, "BadMessageId")),
        ({"apns_expiration": "tomorrow"}, (400, "BadExpirationDate")),
        ({"apns_expiration": "-1"}, (400, "BadExpirationDate")),
        ({"apns_expiration": ""}, (400, "BadExpirationDate")),
        ({"apns_push_type": None}, (400, "InvalidPushType")),
        ({"apns_push_type": "loud"}, (400, "InvalidPushType")),
        ({"apns_priority": "7"}, (400, "BadPriority")),
        ({"apns_priority": "10", "apns_push_type": "background"}, (400, "BadPriority")),
        ({"apns_collapse_id": "c" * 65}, (400, "BadCollapseId")),
        ({"apns_topic": None}, (400, "MissingTopic")),
        ({"apns_topic": "other.app"}, (400, "TopicDisallowed")),
        ({"apns_topic": "test.simulator.app.voip"}, (400, "BadTopic")),
        ({"apns_push_type": "voip"}, (400, "BadTopic")),
        ({"body": b""}, (400, "PayloadEmpty")),
        ({"body": b"{"}, (400, "PayloadEmpty")),
        ({"body": b"[]"}, (400, "PayloadEmpty")),
        ({"body": b'{"alert":"no aps"}'}, (400, "PayloadEmpty")),
        ({"body": b'{"aps":"text"}'}, (400, "PayloadEmpty")),
        ({"body": b"\xff"}, (400, "PayloadEmpty")),
        ({"body": b'{"aps":{"alert":"' + b"a" * 4078 + b'"}}'}, (413, "PayloadTooLarge")),
    ],
)
def test_refusals(caller: Caller, change: dict[str, Any], expected: tuple[int, str]) -> None:
    assert reason(caller.call(**change)) == expected
    assert caller.outbox.items() == []


@pytest.mark.parametrize(
    "change",
    [
        {"path": f"/3/device/{'A' * 32}"},
        {"path": f"/3/device/{'a' * 200}"},
        {"body": b'{"aps":{"alert":"' + b"a" * 4076 + b'"}}'},
        {"apns_push_type": "background", "apns_priority": "5"},
        {"apns_push_type": "voip", "apns_topic": "test.simulator.app.voip", "body": b'{"aps":{"x":"' + b"a" * 4900 + b'"}}'},
        {"apns_expiration": "0"},
    ],
)
def test_limits_are_inclusive(caller: Caller, change: dict[str, Any]) -> None:
    assert caller.call(**change).status == 200


@pytest.mark.parametrize("claims", [{"kid": "OTHERKEY00"}, {"kid": ""}, {"iss": "OTHERTEAM1"}, {"iat": "now"}, {"iat": None}])
def test_foreign_provider_tokens(caller: Caller, claims: dict[str, Any]) -> None:
    assert reason(caller.call(authorization=f"bearer {caller.token(**claims)}")) == (403, "InvalidProviderToken")


def test_a_provider_token_of_another_key(caller: Caller) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert reason(caller.call(authorization=f"bearer {caller.token(key=pem)}")) == (403, "InvalidProviderToken")


def test_a_provider_token_from_the_future(caller: Caller) -> None:
    now = int(caller.clock.now().timestamp())
    assert caller.call(authorization=f"bearer {caller.token(iat=now + 299)}").status == 200
    assert reason(caller.call(authorization=f"bearer {caller.token(iat=now + 301)}")) == (403, "InvalidProviderToken")


def test_a_provider_token_lives_sixty_minutes(caller: Caller) -> None:
    authorization = f"bearer {caller.token()}"
    caller.clock.move(3600)
    assert caller.call(authorization=authorization).status == 200
    caller.clock.move(1)
    assert reason(caller.call(authorization=authorization)) == (403, "ExpiredProviderToken")


def test_new_provider_tokens_may_be_limited(
    credentials: Credentials, clock: ManualClock, make_apns_token: Callable[..., str]
) -> None:
    caller = Caller(credentials, clock, make_apns_token, token_update_interval_s=1200)
    first = f"bearer {caller.token()}"
    assert caller.call(authorization=first).status == 200
    clock.move(1199)
    assert reason(caller.call(authorization=f"bearer {caller.token()}")) == (429, "TooManyProviderTokenUpdates")
    assert caller.call(authorization=first).status == 200
    clock.move(1)
    assert caller.call(authorization=f"bearer {caller.token()}").status == 200


def test_only_authorised_replies_say_so(caller: Caller) -> None:
    assert caller.call().is_authorised
    assert caller.call(apns_topic="other.app").is_authorised
    assert not caller.call(authorization="bearer nonsense").is_authorised


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("dead", (410, "Unregistered")), ("b005", (503, "ServiceUnavailable")), ("bad0", (400, "PayloadEmpty"))],
)
def test_fates(caller: Caller, prefix: str, expected: tuple[int, str]) -> None:
    path = f"/3/device/{prefix}{'0' * 60}"
    assert reason(caller.call(path=path)) == expected
    again = caller.call(path=path)
    assert again.status == (200 if prefix == "b005" else expected[0])


def test_gone_tells_since_when_in_milliseconds(caller: Caller) -> None:
    reply = caller.call(path=f"/3/device/dead{'0' * 60}")
    assert json.loads(reply.body)["timestamp"] == 1767225600000


def test_refusals_echo_the_id(caller: Caller) -> None:
    reply = caller.call(apns_id="11111111-2222-3333-4444-555555555555", apns_topic="other.app")
    assert dict(reply.headers)[b"apns-id"] == b"11111111-2222-3333-4444-555555555555"


def test_errors_of_fault_rules_are_worded_like_apples(caller: Caller) -> None:
    assert reason(caller.service.error(429, "TooManyRequests")) == (429, "TooManyRequests")
    assert caller.service.error(500, "").body == b""


def test_a_certificate_for_the_app_stands_in_for_a_token(caller: Caller) -> None:
    assert caller.call(authorization=None, peer="test.simulator.app").status == 200
    assert (
        caller.call(
            authorization=None, peer="test.simulator.app", apns_topic="test.simulator.app.voip", apns_push_type="voip"
        ).status
        == 200
    )


def test_a_certificate_for_another_app_does_not(caller: Caller) -> None:
    reply = caller.call(authorization=None, peer="test.simulator.app", apns_topic="test.simulator.kiosk")
    assert reason(reply) == (400, "TopicDisallowed")
    assert reason(caller.call(authorization=None)) == (403, "MissingProviderToken")


def test_a_team_has_a_second_app(caller: Caller) -> None:
    assert caller.call(apns_topic="test.simulator.kiosk").status == 200
    assert reason(caller.call(apns_topic="test.simulator.kiosk.voip")) == (400, "BadTopic")
