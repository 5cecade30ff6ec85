"""The push service: what it refuses, what it reads, what it records."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import ManualClock
from loadtest.simulators.credentials import Credentials
from loadtest.simulators.exchange import Reply, Request
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.subscriptions import Subscription, Subscriptions
from loadtest.simulators.webpush import SEALED, WebPushService

CONTENT = {
    "title": "T",
    "options": {"body": "B", "image": "https://x.test/i.png", "data": {"hg_id": "n1", "link": "https://x.test/"}},
}


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Caller:
    """Sends right messages to minted subscriptions, except for what a test changes."""

    def __init__(self, credentials: Credentials, clock: ManualClock, vapid: Callable[..., str]) -> None:
        self.clock = clock
        self.outbox = Outbox(clock)
        self.subscriptions = Subscriptions(credentials.subscription_seed)
        self.service = WebPushService(self.subscriptions, self.outbox, clock)
        self._vapid = vapid

    def mint(self, name: str = "phone") -> Subscription:
        return self.subscriptions.mint(name, "1")

    def vapid(self, **changes: Any) -> str:
        return self._vapid(**{"now": self.clock.now().timestamp(), **changes})

    def encrypt(self, subscription: Subscription, plaintext: bytes) -> bytes:
        return bytes(
            http_ece.encrypt(
                plaintext,
                salt=os.urandom(16),
                private_key=ec.generate_private_key(ec.SECP256R1()),
                dh=raw(subscription.keys.p256dh),
                auth_secret=raw(subscription.keys.auth),
                version="aes128gcm",
            )
        )

    def call(
        self,
        subscription: Subscription | None = None,
        *,
        content: object = CONTENT,
        body: bytes | None = None,
        path: str | None = None,
        authority: str = "push.simulator.test",
        method: str = "POST",
        repeated: bytes = b"",
        **headers: str | None,
    ) -> Reply:
        subscription = subscription or self.mint()
        fields = {
            "ttl": "60",
            "content-encoding": "aes128gcm",
            "authorization": self.vapid() if "authorization" not in headers else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        kept = {name.encode(): value.encode() for name, value in fields.items() if value is not None}
        sent = self.encrypt(subscription, json.dumps(content).encode()) if body is None else body
        path = path or subscription.endpoint.removeprefix("https://push.simulator.test")
        return self.service.take(Request(method, path, authority, kept, sent, repeated))


@pytest.fixture
def caller(credentials: Credentials, clock: ManualClock, make_vapid: Callable[..., str]) -> Caller:
    return Caller(credentials, clock, make_vapid)


def error(reply: Reply) -> tuple[int, int]:
    content = json.loads(reply.body)
    assert content["code"] == reply.status
    assert content["message"]
    return content["code"], content["errno"]


def test_what_passes_is_decrypted_and_recorded(caller: Caller) -> None:
    subscription = caller.mint()
    reply = caller.call(subscription, topic="t" * 32, urgency="very-low")
    assert reply.status == 201
    assert dict(reply.headers)[b"location"].startswith(b"https://push.simulator.test/m/")
    assert dict(reply.headers)[b"ttl"] == b"60"
    (item,) = caller.outbox.items()
    assert (item.provider, item.address, item.title, item.body) == ("webpush", subscription.endpoint, "T", "B")
    assert (item.notification_id, item.link, item.image) == ("n1", "https://x.test/", "https://x.test/i.png")
    assert item.headers == {"ttl": "60", "topic": "t" * 32, "urgency": "very-low"}
    assert item.decrypted is True


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"title": "T", "body": "B", "data": {"hg_id": "n2"}}, ("T", "B", "n2")),
        ({"title": "T", "hg_id": "n3", "options": None}, ("T", "", "n3")),
        (["no", "object"], ("", '["no", "object"]', "")),
        ("text", ("", '"text"', "")),
    ],
)
def test_other_contents_are_shown_as_they_are(caller: Caller, content: object, expected: tuple[str, str, str]) -> None:
    caller.call(content=content)
    (item,) = caller.outbox.items()
    assert (item.title, item.body, item.notification_id) == expected


def test_a_message_without_body_is_empty(caller: Caller) -> None:
    assert caller.call(body=b"", content_encoding=None).status == 201
    (item,) = caller.outbox.items()
    assert (item.title, item.body, item.decrypted) == ("", "", True)


def test_what_is_sealed_is_read_when_asked_for(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    decrypted: list[str] = []
    decrypt = caller.subscriptions.decrypt
    monkeypatch.setattr(caller.subscriptions, "decrypt", lambda token, body: decrypted.append(token) or decrypt(token, body))
    open_one, sealed = caller.mint(), caller.mint(f"{SEALED}phone")
    for subscription in (open_one, sealed):
        assert caller.call(subscription, topic="t" * 32).status == 201
    assert len(decrypted) == 1
    first, second = caller.outbox.items(notification_id="n1")
    assert len(decrypted) == 2
    assert msgspec.structs.replace(second, address=first.address) == first
    assert second.address == sealed.endpoint


def test_what_is_sealed_and_cannot_be_read_is_no_notifications(caller: Caller) -> None:
    other = caller.encrypt(caller.mint("other"), json.dumps(CONTENT).encode())
    assert caller.call(caller.mint(f"{SEALED}phone"), body=other).status == 201
    (item,) = caller.outbox.items()
    assert (item.notification_id, item.decrypted) == ("", False)
    assert "not encrypted for this subscription" in item.title


def test_what_is_sealed_is_checked_in_all_other_ways(caller: Caller) -> None:
    assert caller.call(caller.mint(f"{SEALED}phone"), ttl=None).status == 400
    assert caller.call(caller.mint(f"{SEALED}unregistered")).status == 410
    assert caller.outbox.items() == []


def test_foreign_subscriptions_are_taken_unread(caller: Caller) -> None:
    reply = caller.call(
        path="/wpush/v2/abc?x=1",
        authority="updates.push.example:443",
        body=b"whatever",
        authorization=caller.vapid(audience="https://updates.push.example"),
    )
    assert reply.status == 201
    (item,) = caller.outbox.items()
    assert (item.address, item.title, item.body) == ("https://updates.push.example/wpush/v2/abc?x=1", "", "")
    assert item.decrypted is False


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "PUT"}, (405, 999)),
        ({"repeated": b"ttl"}, (400, 999)),
        ({"ttl": None}, (400, 111)),
        ({"ttl": "soon"}, (400, 112)),
        ({"ttl": "-1"}, (400, 112)),
        ({"topic": "t" * 33}, (400, 113)),
        ({"topic": "a b"}, (400, 113)),
        ({"topic": ""}, (400, 113)),
        ({"urgency": "urgent"}, (400, 999)),
        ({"body": b"x" * 4097}, (413, 104)),
        ({"content_encoding": None}, (415, 999)),
        ({"content_encoding": "aesgcm"}, (415, 999)),
        ({"body": b"x" * 200}, (400, 106)),
        ({"authorization": None}, (401, 109)),
        ({"authorization": "bearer abc"}, (401, 109)),
        ({"authorization": "vapid t=abc"}, (401, 109)),
        ({"authorization": "vapid k=abc, t=a.b.c"}, (401, 109)),
        ({"authorization": "vapid"}, (401, 109)),
    ],
)
def test_refusals(caller: Caller, changes: dict[str, Any], expected: tuple[int, int]) -> None:
    assert error(caller.call(**changes)) == expected
    assert caller.outbox.items() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": "https://other.test"},
        {"audience": "https://push.simulator.test/"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1767225600},
        {"exp": 1767225600 + 24 * 3600 + 1},
        {"sub": None},
        {"sub": "operator"},
    ],
)
def test_claims_are_checked(caller: Caller, changes: dict[str, Any]) -> None:
    assert error(caller.call(authorization=caller.vapid(**changes))) == (403, 109)


def test_the_longest_life_of_a_token_is_a_day(caller: Caller) -> None:
    assert caller.call(authorization=caller.vapid(exp=1767225600 + 24 * 3600)).status == 201


def test_a_token_that_was_good_expires(caller: Caller) -> None:
    authorization = caller.vapid()
    assert caller.call(authorization=authorization).status == 201
    caller.clock.move(12 * 3600)
    assert error(caller.call(authorization=authorization)) == (403, 109)


def test_a_signature_that_k_did_not_make(caller: Caller) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert error(caller.call(authorization=caller.vapid(key=key))) == (403, 109)


def test_the_largest_message(caller: Caller) -> None:
    subscription = caller.mint()
    body = caller.encrypt(subscription, b"x" * 3993)
    assert len(body) == 4096
    assert caller.call(subscription, body=body).status == 201


@pytest.mark.parametrize(("name", "expected"), [("unregistered", (410, 103)), ("busy", (503, 201)), ("refused", (400, 999))])
def test_fates(caller: Caller, name: str, expected: tuple[int, int]) -> None:
    subscription = caller.mint(name)
    assert error(caller.call(subscription)) == expected
    assert caller.outbox.items() == []
    assert caller.call(subscription).status == (201 if name == "busy" else expected[0])


def test_errors_of_fault_rules(caller: Caller) -> None:
    assert error(caller.service.error(429, "")) == (429, 202)
    assert error(caller.service.error(406, "Throttled")) == (406, 999)
