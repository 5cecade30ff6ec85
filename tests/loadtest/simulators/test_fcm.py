"""The token endpoint and messages:send, refusing in Google's shapes."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import ManualClock
from loadtest.simulators.credentials import Credentials
from loadtest.simulators.exchange import Reply, Request
from loadtest.simulators.fcm import FcmService
from loadtest.simulators.outbox import Outbox

SEND = "/v1/projects/simulator/messages:send"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


class Caller:
    """Holds an access token and sends right messages, except for what a test changes."""

    def __init__(self, credentials: Credentials, clock: ManualClock, sign: Callable[..., str]) -> None:
        self.clock = clock
        self.outbox = Outbox(clock)
        self.service = FcmService(credentials, self.outbox, clock)
        self._sign = sign
        self.access_token = json.loads(self.grant().body)["access_token"]

    def assertion(self, **changes: Any) -> str:
        return self._sign(**{"now": self.clock.now().timestamp(), "audience": "https://fcm.test/token", **changes})

    def grant(self, *, method: str = "POST", grant_type: str = GRANT, assertion: str | None = None) -> Reply:
        form = urlencode({"grant_type": grant_type, "assertion": self.assertion() if assertion is None else assertion})
        return self.service.take(Request(method, "/token", "fcm.test", {}, form.encode()))

    def send(
        self,
        message: object,
        *,
        path: str = SEND,
        method: str = "POST",
        authorization: str | None = None,
        **rest: Any,
    ) -> Reply:
        headers = {b"authorization": (authorization or f"Bearer {self.access_token}").encode()}
        return self.service.take(Request(method, path, "fcm.test", headers, json.dumps({"message": message, **rest}).encode()))


@pytest.fixture
def caller(credentials: Credentials, clock: ManualClock, make_assertion: Callable[..., str]) -> Caller:
    return Caller(credentials, clock, make_assertion)


def error(reply: Reply) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(reply.body)["error"]
    assert content["code"] == reply.status
    return content


# -- tokens


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"method": "GET"}, "unsupported_grant_type"),
        ({"assertion": ""}, "invalid_grant"),
        ({"assertion": "a.b.c"}, "invalid_grant"),
    ],
)
def test_other_grants_are_refused(caller: Caller, changes: dict[str, str], expected: str) -> None:
    reply = caller.grant(**changes)
    assert (reply.status, json.loads(reply.body)["error"]) == (400, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"kid": "0" * 40},
        {"iss": "someone@else.test"},
        {"audience": "https://elsewhere.test/token"},
        {"scope": "https://www.googleapis.com/auth/drive"},
        {"iat": "now"},
        {"iat": 1767225600 + 301},
        {"exp": 1767225600},
        {"exp": 1767225600 + 3601},
        {"exp": None},
    ],
)
def test_assertions_are_checked(caller: Caller, changes: dict[str, Any]) -> None:
    reply = caller.grant(assertion=caller.assertion(**changes))
    assert (reply.status, json.loads(reply.body)["error"]) == (400, "invalid_grant")


def test_an_assertion_of_another_key(caller: Caller) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    reply = caller.grant(assertion=caller.assertion(key=pem))
    assert json.loads(reply.body) == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


def test_googles_own_endpoint_is_an_audience_too(caller: Caller) -> None:
    assert caller.grant(assertion=caller.assertion(audience="https://oauth2.googleapis.com/token")).status == 200


def test_a_token_lives_an_hour(caller: Caller) -> None:
    granted = json.loads(caller.grant().body)
    assert (granted["expires_in"], granted["token_type"]) == (3600, "Bearer")
    caller.clock.move(3599)
    assert caller.send({"token": "a"}).status == 200
    caller.clock.move(1)
    assert error(caller.send({"token": "a"}))["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("authorization", ["Bearer unknown", "Basic abc", "Bearer "])
def test_without_a_good_token_nothing_is_sent(caller: Caller, authorization: str) -> None:
    reply = caller.send({"token": "a"}, authorization=authorization)
    assert (reply.status, error(reply)["status"], "details" in error(reply)) == (401, "UNAUTHENTICATED", False)
    assert caller.outbox.items() == []


# -- messages


def test_what_passes_is_recorded(caller: Caller) -> None:
    reply = caller.send(
        {
            "token": "abc:DEF_1-2",
            "notification": {"title": "T", "body": "B", "image": "https://x.test/i.png"},
            "data": {"hg_id": "n1", "link": "https://x.test/"},
            "android": {"priority": "HIGH", "ttl": "86400s", "collapse_key": "c", "notification": {"tag": "c"}},
            "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"sound": "default"}}},
            "webpush": {"headers": {"TTL": "60"}, "fcm_options": {"link": "https://x.test/"}},
            "fcm_options": {"analytics_label": "n1"},
        }
    )
    assert reply.status == 200
    assert json.loads(reply.body)["name"].startswith("projects/simulator/messages/")
    (item,) = caller.outbox.items()
    assert (item.provider, item.address, item.title, item.body, item.notification_id) == ("fcm", "abc:DEF_1-2", "T", "B", "n1")
    assert (item.link, item.image) == ("https://x.test/", "https://x.test/i.png")


def test_texts_may_stand_in_the_android_block_or_in_data(caller: Caller) -> None:
    caller.send({"token": "a", "android": {"notification": {"title": "AT", "body": "AB"}}})
    caller.send({"token": "a", "data": {"title": "DT", "body": "DB"}})
    assert [(item.title, item.body) for item in caller.outbox.items()] == [("AT", "AB"), ("DT", "DB")]


def test_installations_are_addressed_too(caller: Caller) -> None:
    assert caller.send({"fid": "fid-1"}).status == 200
    assert caller.outbox.items()[0].address == "fid-1"


def test_validate_only_delivers_nothing(caller: Caller) -> None:
    reply = caller.send({"token": "a"}, validate_only=True)
    assert json.loads(reply.body) == {"name": "projects/simulator/messages/fake_message_id"}
    assert caller.outbox.items() == []


@pytest.mark.parametrize("path", ["/v1/projects/other/messages:send", "/v1/projects//messages:send"])
def test_another_project_is_not_found_without_a_word_of_fcm(caller: Caller, path: str) -> None:
    reply = caller.send({"token": "a"}, path=path)
    assert (reply.status, error(reply)["status"], "details" in error(reply)) == (404, "NOT_FOUND", False)


@pytest.mark.parametrize(("path", "method"), [("/v1/projects/simulator/topics", "POST"), (SEND, "GET")])
def test_other_paths_are_pages(caller: Caller, path: str, method: str) -> None:
    reply = caller.send({"token": "a"}, path=path, method=method)
    assert reply.status == 404
    assert reply.body.startswith(b"<!DOCTYPE html>")


def test_a_message_that_cannot_pass_names_its_field(caller: Caller) -> None:
    reply = caller.send({"token": "a", "notification": {"title": 5}})
    details = error(reply)["details"]
    assert reply.status == 400
    assert error(reply)["status"] == "INVALID_ARGUMENT"
    assert details[0] == {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}
    assert details[1]["@type"] == BAD_REQUEST
    assert [violation["field"] for violation in details[1]["fieldViolations"]] == ["message.notification.title"]
    assert caller.outbox.items() == []


def test_a_malformed_token_names_none(caller: Caller) -> None:
    details = error(caller.send({"token": "with blank"}))["details"]
    assert details == [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]


@pytest.mark.parametrize(
    ("token", "status", "code", "word"),
    [
        ("a-unregistered", 404, "UNREGISTERED", "NOT_FOUND"),
        ("a-busy", 503, "UNAVAILABLE", "UNAVAILABLE"),
        ("a-refused", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ],
)
def test_fates(caller: Caller, token: str, status: int, code: str, word: str) -> None:
    reply = caller.send({"token": token})
    assert (reply.status, error(reply)["status"]) == (status, word)
    assert error(reply)["details"][0] == {"@type": FCM_ERROR, "errorCode": code}
    assert [detail["@type"] for detail in error(reply)["details"][1:]] == ([BAD_REQUEST] if code == "INVALID_ARGUMENT" else [])
    assert caller.outbox.items() == []
    assert caller.send({"token": token}).status == (200 if token == "a-busy" else status)


def test_addresses_are_told_before_any_check(caller: Caller) -> None:
    def address(path: str, body: bytes) -> str:
        return caller.service.address_of(Request("POST", path, "fcm.test", {}, body))

    assert address(SEND, b'{"message":{"token":"a","nonsense":1}}') == "a"
    assert address(SEND, b"{") == ""
    assert address("/token", b"grant_type=x") == ""


def test_errors_of_fault_rules_are_shaped_like_googles(caller: Caller) -> None:
    reply = caller.service.error(429, "QUOTA_EXCEEDED")
    assert error(reply)["status"] == "RESOURCE_EXHAUSTED"
    assert error(reply)["details"] == [{"@type": FCM_ERROR, "errorCode": "QUOTA_EXCEEDED"}]
    assert "details" not in error(caller.service.error(500, ""))
