"""The access token's life: fetched once for all, renewed in the background, replaced once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from config.clock import ManualClock
from pushers.providers import errors
from pushers.providers.fcm_token import AccessTokens, ServiceAccount
from pushers.providers.http import HttpTransport


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def tokens(server: Any, ca_file: str, key: rsa.RSAPrivateKey, clock: ManualClock) -> AsyncIterator[AccessTokens]:
    transport = HttpTransport(ca_file=ca_file)
    account = ServiceAccount("shop", "push@shop.example", server.url + "/token", "kid", key)
    server.answer = grant(server)
    tokens = AccessTokens(account, transport, clock, timeout_s=5)
    yield tokens
    await tokens.close()
    await transport.close()


def grant(server: Any) -> Any:
    def answer(exchange: Any) -> None:
        exchange.reply(200, json.dumps({"access_token": f"t{len(server.exchanges)}", "expires_in": 3600}).encode())

    return answer


async def test_grant_is_asked_for_with_a_signed_assertion(server: Any, tokens: AccessTokens, key: rsa.RSAPrivateKey) -> None:
    assert await tokens.current() == "t1"
    form = parse_qs(server.exchanges[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        form["assertion"][0], key.public_key(), algorithms=["RS256"], audience=server.url + "/token", options=options  # type: ignore[arg-type]
    )  # fmt: skip
    assert claims["iss"] == "push@shop.example"
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert (claims["iat"], claims["exp"]) == (1767225600, 1767229200)
    assert jwt.get_unverified_header(form["assertion"][0])["kid"] == "kid"


async def test_calls_at_once_fetch_once_and_one_may_leave(server: Any, tokens: AccessTokens) -> None:
    held: list[Any] = []
    server.answer = held.append
    calls = [asyncio.ensure_future(tokens.current()) for _ in range(5)]
    await server.until(lambda s: held)
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    grant(server)(held[0])
    assert await asyncio.gather(*calls[1:]) == ["t1"] * 4
    assert len(server.exchanges) == 1


async def test_renewal_in_the_background_from_50_minutes_on(server: Any, tokens: AccessTokens, clock: ManualClock) -> None:
    await tokens.current()
    clock.move(50 * 60 - 1)
    assert await tokens.current() == "t1"
    held: list[Any] = []
    server.answer = held.append
    clock.move(2)
    assert [await tokens.current() for _ in range(3)] == ["t1"] * 3
    await server.until(lambda s: held)
    assert len(held) == 1
    grant(server)(held[0])
    clock.move(10 * 60)  # past the end of the old one
    assert await tokens.current() == "t2"
    assert len(server.exchanges) == 2


async def test_failed_renewal_leaves_the_old_token_until_it_ends(server: Any, tokens: AccessTokens, clock: ManualClock) -> None:
    await tokens.current()
    server.answer = lambda exchange: exchange.reply(503)
    clock.move(51 * 60)
    assert await tokens.current() == "t1"
    await server.until(lambda s: len(s.exchanges) == 2)
    clock.move(9 * 60)
    with pytest.raises(errors.TokenUnavailable):
        await tokens.current()


async def test_failure_is_told_again_without_asking_for_some_seconds(
    server: Any, tokens: AccessTokens, clock: ManualClock
) -> None:
    server.answer = lambda exchange: exchange.reply(503, b"", {"retry-after": "8"})
    for _ in range(3):
        with pytest.raises(errors.TokenUnavailable) as caught:
            await tokens.current()
        assert caught.value.retry_after_s == 8.0
    assert len(server.exchanges) == 1
    server.answer = grant(server)
    clock.move(5)
    assert await tokens.current() == "t2"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused_account(server: Any, tokens: AccessTokens, status: int) -> None:
    server.answer = lambda exchange: exchange.reply(status, b'{"error":"invalid_grant"}')
    with pytest.raises(errors.Misconfigured):
        await tokens.current()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"access_token":7}', b"\xff", b"[]"])
async def test_answer_that_is_not_understood(server: Any, tokens: AccessTokens, body: bytes) -> None:
    server.answer = lambda exchange: exchange.reply(200, body)
    with pytest.raises(errors.TokenUnavailable):
        await tokens.current()


async def test_lost_connection_is_no_ambiguity_of_the_message(server: Any, tokens: AccessTokens) -> None:
    server.answer = lambda exchange: exchange.connection.transport.abort()
    with pytest.raises(errors.TokenUnavailable):
        await tokens.current()


async def test_refused_token_is_replaced_once(server: Any, tokens: AccessTokens, clock: ManualClock) -> None:
    assert await tokens.current() == "t1"
    assert tokens.replace("t1")
    assert tokens.replace("t1")
    assert await tokens.current() == "t2"
    assert tokens.replace("t1")
    assert not tokens.replace("t2")
    assert await tokens.current() == "t2"
    clock.move(3600)
    assert await tokens.current() == "t3"
    assert tokens.replace("t3")


async def test_closing_ends_the_wait(server: Any, tokens: AccessTokens) -> None:
    server.answer = lambda exchange: None
    call = asyncio.ensure_future(tokens.current())
    await server.until(lambda s: s.exchanges)
    await tokens.close()
    with pytest.raises(errors.TokenUnavailable):
        await call


def test_account_hides_its_key(key: rsa.RSAPrivateKey) -> None:
    assert repr(ServiceAccount("shop", "a@b", "https://t", "kid", key)) == "ServiceAccount(project_id='shop', …)"
