"""Signed calls: what a receiver can check, and what its answers mean."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.http_message import HttpResponse
from pushers.providers.signed_hook import build_signed, classify_hook

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = '{"text":"Grüße"}'.encode()


def test_each_secret_signs_timestamp_and_body() -> None:
    request = build_signed("https://x.example/", BODY, secrets=("new", "old"), now=NOW, timeout_s=3)
    expected = [hmac.new(key, b"1767225600." + BODY, hashlib.sha256).hexdigest() for key in (b"new", b"old")]
    assert request.headers == {
        "content-type": "application/json",
        "heliograph-timestamp": "1767225600",
        "heliograph-signature": f"v1={expected[0]},v1={expected[1]}",
    }
    assert (request.body, request.timeout_s) == (BODY, 3)


def answer(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    return HttpResponse(
        status, body, tuple(f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in headers.items())
    )


# What is answered; what it means where the address stands in the settings, and where a device has named it.
TABLE: list[tuple[HttpResponse, SendOutcome, SendOutcome]] = [
    (answer(200, b'{"id":"m-1"}'), Accepted("m-1"), Accepted("m-1")),
    (answer(202, b"<html>"), Accepted(), Accepted()),
    (answer(204), Accepted(), Accepted()),
    (answer(301), ConfigPause("status 301: redirects are not followed"), DropMessage("status 301")),
    (answer(400), DropMessage("status 400"), DropMessage("status 400")),
    (answer(401), ConfigPause("status 401"), DropMessage("status 401")),
    (answer(403), ConfigPause("status 403"), DropMessage("status 403")),
    (answer(404), ConfigPause("status 404"), DropDevice("status 404", NOW, confident=False)),
    (answer(410), DropDevice("status 410", NOW), DropDevice("status 410", NOW)),
    (answer(413), TooLarge(9), TooLarge(9)),
    (answer(422), DropMessage("status 422"), DropMessage("status 422")),
    (
        answer(429, retry_after="17"),
        Retry("status 429", 17.0, "lane", is_failure=False),
        Retry("status 429", 17.0, "device", is_failure=False),
    ),
    (
        answer(408),
        Retry("status 408", 60.0, "lane", is_failure=False),
        Retry("status 408", 60.0, "device", is_failure=False),
    ),
    (answer(500), Retry("status 500"), Retry("status 500")),
    (answer(503, retry_after="5"), Retry("status 503", 5.0, is_failure=False), Retry("status 503", 5.0, is_failure=False)),
]


@pytest.mark.parametrize(("response", "ours", "theirs"), TABLE, ids=lambda value: str(getattr(value, "status", "")))
def test_what_an_answer_means(response: HttpResponse, ours: SendOutcome, theirs: SendOutcome) -> None:
    assert classify_hook(response, now=NOW, size_bytes=9, is_ours=True) == ours
    assert classify_hook(response, now=NOW, size_bytes=9, is_ours=False) == theirs
