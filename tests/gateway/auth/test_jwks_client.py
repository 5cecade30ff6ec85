"""Fetching a document from issuers that are slow, huge, lost or hostile."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from config.clock import ManualClock
from config.egress import Pins
from config.token_settings import IssuerKeys
from gateway.auth.jwks_client import DOCUMENT_LIMIT, JwksClient, NotFetched

Client = Callable[..., JwksClient]


@pytest.fixture
def client(publisher: Any) -> Client:
    """Make a client of the publisher, which lies in a private network as it is."""

    def make(
        url: str = "", *, private: bool = True, look_up: Callable[[str], Sequence[str]] = lambda _: (), **more: Any
    ) -> JwksClient:
        settings = IssuerKeys(jwks_url=url or publisher.url, jwks_private_network=private, **more)
        return JwksClient(settings, Pins(ManualClock(), look_up))

    return make


async def test_gets_what_is_published(client: Client, publisher: Any, make_jwk: Callable[..., Any]) -> None:
    publisher.publish(make_jwk())
    assert json.loads(await client().fetch()) == {"keys": [make_jwk()]}
    [request] = publisher.requests
    assert request.startswith(b"GET /keys HTTP/1.1\r\n")
    assert not any(word in request.lower() for word in (b"cookie", b"authorization", b"gzip"))


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        ("302 Found", {"Location": "http://169.254.169.254/latest/meta-data"}, "redirects are not followed"),
        ("308 Permanent Redirect", {"Location": "/keys2"}, "redirects are not followed"),
        ("404 Not Found", {}, "answered 404"),
        ("500 Internal Server Error", {}, "answered 500"),
        ("206 Partial Content", {}, "answered 206"),
        ("200 OK", {"Content_Encoding": "gzip"}, "compressed"),
    ],
)
async def test_takes_no_other_answer(client: Client, publisher: Any, status: str, headers: Any, reason: str) -> None:
    publisher.answer = publisher.response(b'{"keys": []}', status, **headers)
    with pytest.raises(NotFetched, match=reason):
        await client().fetch()
    assert len(publisher.requests) == 1


@pytest.mark.parametrize("is_announced", [True, False])
async def test_reads_no_more_than_it_may(client: Client, publisher: Any, is_announced: bool) -> None:
    body = b"x" * (DOCUMENT_LIMIT + 1)
    publisher.answer = publisher.response(body) if is_announced else b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    with pytest.raises(NotFetched, match=f"more than {DOCUMENT_LIMIT} bytes"):
        await client().fetch()
    publisher.answer = publisher.response(body[1:])
    assert len(await client().fetch()) == DOCUMENT_LIMIT


async def test_waits_no_longer_than_it_may(client: Client, publisher: Any) -> None:
    publisher.gate = asyncio.Event()
    with pytest.raises(NotFetched, match=r"no whole answer within 0\.05 s"):
        await client(jwks_timeout=0.05).fetch()
    publisher.gate.set()


@pytest.mark.parametrize("answer", [b"", b"\xff\x00rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"])
async def test_tells_of_an_answer_that_is_none(client: Client, publisher: Any, answer: bytes) -> None:
    publisher.answer = answer
    with pytest.raises(NotFetched, match="no answer"):
        await client().fetch()


async def test_tells_of_nobody_there(client: Client, free_port: Callable[[], int]) -> None:
    with pytest.raises(NotFetched, match="does not take connections"):
        await client(f"http://127.0.0.1:{free_port()}/").fetch()


@pytest.mark.parametrize("addresses", [["10.0.0.7"], ["93.184.216.34", "127.0.0.1"], ["::1"], ["169.254.169.254"]])
async def test_connects_to_public_addresses_only(client: Client, addresses: Sequence[str]) -> None:
    with pytest.raises(NotFetched, match="not public"):
        await client("https://issuer.example.org/keys", private=False, look_up=lambda _: addresses).fetch()


async def test_tells_of_a_name_that_is_not_found(client: Client) -> None:
    with pytest.raises(NotFetched, match="without an address"):
        await client("https://issuer.example.org/keys", private=False).fetch()


def test_certificates_that_cannot_be_read_are_an_error_at_once(client: Client) -> None:
    with pytest.raises(OSError, match="No such file"):
        client(jwks_ca_file="/nowhere/at/all.pem")
