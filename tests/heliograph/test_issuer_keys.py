"""A node whose issuer publishes its keys: what the audit is told."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from broker.audit import AuditFilter
from broker.present_overrides import PresentOverrides
from config.clock import SystemClock, settle
from config.settings import Settings
from heliograph.gateway import GatewayPart
from heliograph.ground import Ground
from heliograph.parts import make_engine, open_durable_store


@pytest.fixture
async def publisher():
    """An issuer of one key; gives its address."""
    key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))
    body = json.dumps({"keys": [key | {"kid": "spring"}]}).encode()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


async def test_keys_that_are_new_are_in_the_audit_and_known_ones_not_again(tmp_path, publisher):
    settings = Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{tmp_path}/store.db"},
            "client": {"token": {"jwks_url": publisher, "jwks_private_network": True}},
        }
    )
    for _start in range(2):
        async with AsyncExitStack() as resources:
            clock = SystemClock()
            store = await open_durable_store(settings, clock)
            resources.push_async_callback(store.close)
            engine = make_engine(settings, clock)
            resources.push_async_callback(engine.close)
            ground = Ground(settings, clock, engine, store, "process", resources, PresentOverrides(store.overrides, clock))
            with socket.socket() as listener:
                tokens = GatewayPart(ground, listener, []).node.tokens
            running = asyncio.create_task(tokens.run())
            async with asyncio.timeout(30):  # only ends a hang
                while not tokens.key_states()[0].keys:  # noqa: ASYNC110 (facts of the node need no event of their own)
                    await asyncio.sleep(0)
            await settle()  # it is with the store now, which does one thing after the other
            found = await told(store)
            running.cancel()
            await asyncio.wait({running})
            assert [(one.record.act.resource, one.record.act.details) for one in found] == [
                ("issuer:default", {"added": "spring", "kids": 1})
            ]


async def told(store):
    await store.audit.settle()
    return (await store.audit.search(AuditFilter(action="issuer_keys.changed"), limit=10))[0]
