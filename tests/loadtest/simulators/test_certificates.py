"""Certificates for any host that a caller names."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from loadtest.simulators.suite import Simulators

Connect = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "push_1.test", "Web.Push.Apple.com", "a" * 63 + ".example"])
async def test_hosts_are_certified(sims: Simulators, connect: Connect, host: str) -> None:
    peer = await connect(sims.providers["webpush"], host=host)
    await peer.until(lambda: peer.stream_limits == [1000])


@pytest.mark.parametrize("host", ["-dash.test", "a!b.test"])
async def test_what_is_no_host_is_refused(sims: Simulators, connect: Connect, host: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):  # asyncio may reset before the alert is out
        await connect(sims.providers["webpush"], host=host)


async def test_nobody_else_trusts_them(sims: Simulators) -> None:
    context = ssl.create_default_context()
    port = int(sims.providers["apns"]["url"].rpartition(":")[2])
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=context)
