"""The simulated SMS services: what they refuse and how they word it, what they record."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from config.clock import ManualClock
from loadtest.simulators.exchange import Reply, Request
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.sms import SmsAccount, SmsService

SID, TOKEN, SECRET = "AC" + "0" * 32, "token", "0123456789abcdef"
GOOD = {"To": "+15005550006", "From": "+15005550006", "Body": "Hello"}


class Caller:
    """Sends right requests, except for what a test changes."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.outbox = clock, Outbox(clock)
        self.service = SmsService(SmsAccount(SID, TOKEN, SECRET), self.outbox, clock)

    def call(
        self,
        *,
        method: str = "POST",
        path: str = f"/2010-04-01/Accounts/{SID}/Messages.json",
        login: str = f"{SID}:{TOKEN}",
        kind: str = "application/x-www-form-urlencoded",
        body: bytes | None = None,
        **fields: str,
    ) -> Reply:
        given = {name: value for name, value in {**GOOD, **fields}.items() if value}
        headers = {b"authorization": b"Basic " + base64.b64encode(login.encode()), b"content-type": kind.encode()}
        return self.service.take(Request(method, path, "x", headers, urlencode(given).encode() if body is None else body))

    def hook(self, told: Any, *, secret: str = SECRET, late_s: int = 0, signature: str | None = None, **headers: str) -> Reply:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        timestamp = str(int(self.clock.now().timestamp()) - late_s)
        mac = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        fields = {
            "heliograph-timestamp": timestamp,
            "heliograph-signature": signature if signature is not None else f"v1={mac}",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        sent = {name.encode(): value.encode() for name, value in fields.items()}
        return self.service.take(Request("POST", "/sms", "x", sent, body))


@pytest.fixture
def caller(clock: ManualClock) -> Caller:
    return Caller(clock)


def test_a_message_is_taken_and_recorded(caller: Caller) -> None:
    reply = caller.call(StatusCallback="https://shop.example/sms?notification=n1&device=d1", ValidityPeriod="60")
    answer = json.loads(reply.body)
    assert (reply.status, answer["status"], answer["sid"][:2], answer["error_code"]) == (201, "queued", "SM", None)
    (item,) = caller.outbox.items()
    assert (item.provider, item.address, item.body, item.notification_id) == ("sms", "+15005550006", "Hello", "n1")
    assert item.headers["From"] == "+15005550006"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"login": f"{SID}:wrong"}, 401, 20003),
        ({"login": "a:b"}, 401, 20003),
        ({"path": "/2010-04-01/Accounts/ACother/Messages.json"}, 404, 20404),
        ({"method": "GET"}, 405, 20004),
        ({"kind": "application/json"}, 415, 20415),
        ({"body": b"\xff=\xff"}, 400, 21604),
        ({"To": ""}, 400, 21604),
        ({"To": "0049151"}, 400, 21211),
        ({"From": ""}, 400, 21603),
        ({"MessagingServiceSid": "MG1"}, 400, 21603),
        ({"From": "far too long a name"}, 400, 21212),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"ValidityPeriod": "0"}, 400, 21621),
        ({"ValidityPeriod": "36001"}, 400, 21621),
        ({"Media": "x"}, 400, 20001),
        ({"To": "+15005550001"}, 400, 21211),
        ({"To": "+15005550002"}, 400, 21612),
        ({"To": "+15005550003"}, 400, 21408),
        ({"To": "+15005550004"}, 400, 21610),
        ({"To": "+15005550009"}, 400, 21614),
    ],
)
def test_what_is_wrong_is_refused_in_twilios_words(caller: Caller, change: dict[str, Any], status: int, code: int) -> None:
    reply = caller.call(**change)
    answer = json.loads(reply.body)
    assert (reply.status, answer["code"], answer["status"]) == (status, code, status)
    assert caller.outbox.items() == []


def test_a_full_queue_empties(caller: Caller) -> None:
    assert caller.call(To="+15005550008").status == 429
    assert caller.call(To="+15005550008").status == 201


@pytest.mark.parametrize(("status", "reason", "code"), [(429, "", 20429), (503, "", 20500), (400, "21610", 21610)])
def test_faults_are_worded_alike(caller: Caller, status: int, reason: str, code: int) -> None:
    assert json.loads(caller.service.error(status, reason).body)["code"] == code


def test_the_signed_webhook_takes_what_is_signed(caller: Caller) -> None:
    reply = caller.hook({"id": "n1", "to": "+15005550006", "text": "Hello"})
    assert (reply.status, len(json.loads(reply.body)["id"])) == (200, 32)
    (item,) = caller.outbox.items()
    assert (item.provider, item.address, item.body, item.notification_id) == ("sms", "+15005550006", "Hello", "n1")


WRONG: list[tuple[Callable[[Caller], Reply], int]] = [
    (lambda caller: caller.hook({}, secret="another"), 401),
    (lambda caller: caller.hook({}, signature=""), 401),
    (lambda caller: caller.hook({}, signature="v0=00"), 401),
    (lambda caller: caller.hook({}, late_s=301), 401),
    (lambda caller: caller.hook({}, late_s=-301), 401),
    (lambda caller: caller.hook({}, heliograph_timestamp=""), 401),
    (lambda caller: caller.hook({}, heliograph_timestamp="soon"), 401),
    (lambda caller: caller.hook({}, content_type="text/plain"), 415),
    (lambda caller: caller.hook(b"{"), 400),
    (lambda caller: caller.hook([]), 400),
]


@pytest.mark.parametrize(("send", "status"), WRONG)
def test_the_signed_webhook_refuses_what_is_not(caller: Caller, send: Callable[[Caller], Reply], status: int) -> None:
    assert send(caller).status == status
    assert caller.outbox.items() == []


def test_one_of_several_signatures_is_enough(caller: Caller, clock: ManualClock) -> None:
    body = b'{"to":"+15005550006"}'
    timestamp = str(int(clock.now().timestamp()))
    mac = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert caller.hook(body, signature=f"v1=00,v1={mac}").status == 200


@pytest.mark.parametrize(
    ("number", "statuses"),
    [("+15005550004", [410, 410]), ("+15005550008", [503, 200]), ("+15005550002", [422, 422])],
)
def test_numbers_choose_their_fate_at_the_webhook_too(caller: Caller, number: str, statuses: list[int]) -> None:
    assert [caller.hook({"to": number}).status for _ in statuses] == statuses
