"""A fleet whose issuer goes down: a node that starts then judges its tokens by the keys that another one has fetched."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from config.clock import SystemClock
from config.settings import Settings
from gateway.auth.key_source import KeysUnavailable
from gateway.node import Node
from heliograph.parts import make_engine

pytestmark = pytest.mark.redis


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
async def publisher(key):
    """The issuer's web server, and its address."""
    published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "spring"}
    body = json.dumps({"keys": [published]}).encode()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


@pytest.fixture
def start(valkey, publisher):
    """Start a node of the fleet, as far as it judges tokens; `secret` is what its settings say."""
    prefix = uuid4().hex

    @asynccontextmanager
    async def make(secret):
        settings = Settings.model_validate(
            {
                "broker": {"url": valkey.connection_url, "prefix": prefix, "connect_timeout": "30s", "call_timeout": "30s"},
                "client": {
                    "token": {"jwks_url": publisher[1], "jwks_private_network": True},
                    "shared_issuer_keys": {"secret": secret},
                },
            }
        )
        async with AsyncExitStack() as stack:
            engine = make_engine(settings, SystemClock())
            stack.push_async_callback(engine.close)
            tokens = Node(settings, engine, SystemClock(), version="1", rpc_methods={}).tokens
            stack.push_async_callback(tokens.close)
            await engine.start()
            yield tokens

    return make


async def test_a_node_that_starts_while_the_issuer_is_down_judges_its_tokens(start, publisher, key):  # L-9
    token = jwt.encode({"sub": "ann"}, key, "ES256", headers={"kid": "spring"})
    secret = "what the nodes of this fleet know and nobody else"
    async with start(secret) as first:
        await first.connections.prepare(token)
        await first.close()
    publisher[0].close()
    await publisher[0].wait_closed()
    async with start(secret) as later:
        await later.connections.prepare(token)
        assert later.connections.connection(token).user == "ann"
        (concern,) = later.concerns()
        assert concern.endswith("s ago are used")
    for other in ("", "what only the nodes of another fleet know"):
        async with start(other) as stranger:
            with pytest.raises(KeysUnavailable):
                await stranger.connections.prepare(token)
