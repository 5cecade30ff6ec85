"""Commands with tokens whose issuer publishes its keys: they wait for the key, and nobody else does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

ISSUER = "https://login.example.org/"


class Publisher:
    """Publishes one key, once the gate is open."""

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.gate = asyncio.Event()
        self.port = self.fetches = 0

    def token(self, user: str = "42", **claims: Any) -> str:
        return jwt.encode({"sub": user, "iss": ISSUER, **claims}, self.key, "EdDSA", headers={"kid": "k1"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.fetches += 1
        await reader.readuntil(b"\r\n\r\n")
        await self.gate.wait()
        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key())) | {"kid": "k1"}
        body = json.dumps({"keys": [jwk]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    found = Publisher()
    server = await asyncio.start_server(found.serve, "127.0.0.1")
    found.port = server.sockets[0].getsockname()[1]
    yield found
    found.gate.set()
    server.close()


@pytest.fixture
async def node_world(world: Callable[..., Any], publisher: Publisher) -> AsyncIterator[Any]:
    issuer = {
        "name": "login",
        "issuer": ISSUER,
        "jwks_url": f"http://127.0.0.1:{publisher.port}/keys",
        "jwks_private_network": True,
    }
    secret = "the tests' secret, which is longer than thirty-two bytes"
    made = world(client={"token": {"hmac_secret_key": secret, "issuers": [issuer]}})
    yield made
    await made.node.tokens.close()


async def done(world: Any, publisher: Publisher) -> None:
    """Let the issuer answer, and what waited for it end."""
    publisher.gate.set()
    await world.node.tasks.drain(30)


async def test_a_connect_waits_for_its_key_and_nobody_else_does(node_world: Any, publisher: Publisher) -> None:
    others = [node_world.client() for _ in range(10)]
    waiting = [node_world.client() for _ in range(3)]
    for client in waiting:
        assert client.send({"id": 1, "connect": {"token": publisher.token()}}) == []
    assert len(node_world.node.tasks) == 3  # one for each command that waits, none for who is only there
    await done(node_world, publisher)
    for client in waiting:
        assert client.read()[0]["connect"]["client"]
    assert publisher.fetches == 1
    assert others[0].connect(token=publisher.token())["client"]  # within the turn, from memory
    assert len(node_world.node.tasks) == 0


async def test_whoever_leaves_while_it_waits_is_not_let_in(node_world: Any, publisher: Publisher) -> None:
    client = node_world.client()
    client.send({"id": 1, "connect": {"token": publisher.token()}})
    client.vanish()
    await done(node_world, publisher)
    assert node_world.node.statistics().clients == 0
    assert client.read() == []


async def test_a_subscription_waits_for_its_key(node_world: Any, publisher: Publisher) -> None:
    client = node_world.client()
    publisher.gate.set()
    client.send({"id": 1, "connect": {"token": publisher.token()}})
    await done(node_world, publisher)
    client.read()
    token = publisher.token(channel="$news")
    [reply] = client.send({"id": 2, "subscribe": {"channel": "$news", "token": token}})
    assert "subscribe" in reply


async def test_a_subscription_that_waits_is_not_begun_twice(node_world: Any, publisher: Publisher) -> None:
    # The connection's token is the default issuer's, so that the subscription's is the first to need a key.
    client = node_world.client()
    secret = node_world.settings.client.token.hmac_secret_key.get_secret_value()
    client.connect(token=jwt.encode({"sub": "42"}, secret, "HS256"))
    command = {"channel": "$news", "token": publisher.token(channel="$news")}
    assert client.send({"id": 2, "subscribe": command}) == []
    await done(node_world, publisher)
    [reply] = client.read()
    assert "subscribe" in reply
    [again] = client.send({"id": 3, "subscribe": command})
    assert again["error"]["code"] == 105
    [refreshed] = client.send({"id": 4, "sub_refresh": command})
    assert "sub_refresh" in refreshed


async def test_a_refresh_waits_for_its_key(node_world: Any, publisher: Publisher) -> None:
    client = node_world.client()
    secret = node_world.settings.client.token.hmac_secret_key.get_secret_value()
    client.connect(token=jwt.encode({"sub": "42"}, secret, "HS256"))
    assert client.send({"id": 2, "refresh": {"token": publisher.token()}}) == []
    await done(node_world, publisher)
    [reply] = client.read()
    assert "refresh" in reply


async def test_who_cannot_be_judged_is_told_to_try_again(world: Callable[..., Any], free_port: Callable[[], int]) -> None:
    issuer = {
        "name": "login",
        "issuer": ISSUER,
        "jwks_url": f"http://127.0.0.1:{free_port()}/",
        "jwks_private_network": True,
    }
    made = world(client={"token": {"issuers": [issuer]}})
    client = made.client()
    client.send({"id": 1, "connect": {"token": Publisher().token()}})
    await made.node.tasks.drain(30)
    [reply] = client.read()
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    [concern] = made.node.readiness.concerns()
    assert concern == "keys of issuer login: does not take connections, there are none, so that its tokens cannot be judged"
    await made.node.tokens.close()
