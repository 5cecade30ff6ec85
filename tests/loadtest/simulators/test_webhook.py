"""The simulated receiver of webhooks."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from config.clock import ManualClock
from loadtest.simulators.exchange import Reply, Request
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.webhook import WebhookService

SECRET = "0123456789abcdef"


@pytest.fixture
def outbox(clock: ManualClock) -> Outbox:
    return Outbox(clock)


@pytest.fixture
def service(outbox: Outbox, clock: ManualClock) -> WebhookService:
    return WebhookService(SECRET, outbox, clock)


def call(service: WebhookService, clock: ManualClock, told: Any, *, method: str = "POST", secret: str = SECRET) -> Reply:
    body = json.dumps(told).encode()
    timestamp = str(int(clock.now().timestamp())).encode()
    mac = hmac.new(secret.encode(), timestamp + b"." + body, hashlib.sha256).hexdigest().encode()
    headers = {b"heliograph-timestamp": timestamp, b"heliograph-signature": b"v1=" + mac, b"content-type": b"application/json"}
    return service.take(Request(method, "/T1", "hooks.example.org", headers, body))


def test_a_signed_notification_is_taken(service: WebhookService, outbox: Outbox, clock: ManualClock) -> None:
    told = {"id": "n1", "to": "https://hooks.example.org/T1", "title": "T", "body": "B", "data": {"a": 1}, "link": "l"}
    assert call(service, clock, told).status == 200
    (item,) = outbox.items()
    assert (item.provider, item.address, item.title, item.body) == ("webhook", "https://hooks.example.org/T1", "T", "B")
    assert (item.notification_id, item.data, item.link) == ("n1", {"a": 1}, "l")


def test_another_secret_and_another_method_are_refused(service: WebhookService, outbox: Outbox, clock: ManualClock) -> None:
    assert call(service, clock, {}, secret="another").status == 401
    assert call(service, clock, {}, method="PUT").status == 405
    assert outbox.items() == []


@pytest.mark.parametrize(("word", "statuses"), [("unregistered", [410, 410]), ("busy", [503, 200]), ("refused", [422, 422])])
def test_addresses_choose_their_fate(service: WebhookService, clock: ManualClock, word: str, statuses: list[int]) -> None:
    told = {"to": f"https://hooks.example.org/{word}"}
    assert [call(service, clock, told).status for _ in statuses] == statuses


@pytest.mark.parametrize(("body", "address"), [(b'{"to":"pager"}', "pager"), (b"{", "/T1"), (b"[]", "/T1")])
def test_whom_a_call_is_for_is_known_unchecked(service: WebhookService, body: bytes, address: str) -> None:
    assert service.address_of(Request("POST", "/T1", "x", {}, body)) == address
