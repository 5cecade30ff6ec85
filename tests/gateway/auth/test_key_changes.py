"""How what issuers publish reaches the store: the newest, once it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from broker.errors import StoreUnavailable
from config.clock import ManualClock, SystemClock, settle
from config.settings import ClientSettings, ConnectionTokenSettings, SubscriptionTokenSettings
from gateway.auth.key_changes import KeyChanges
from gateway.auth.verifiers import Verifiers


class Kept:
    """Plays the port."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Mapping[str, str]]] = []
        self.asked, self.is_away = 0, False
        self.gate, self.both = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def note(self, issuer: str, keys: Mapping[str, str]) -> bool:
        self.asked += 1
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("the store is away")
        self.noted.append((issuer, keys))
        if len(self.noted) == 2:
            self.both.set()
        return True


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def changes(kept: Kept, clock: ManualClock) -> AsyncIterator[KeyChanges]:
    found = KeyChanges(kept, clock)
    running = asyncio.create_task(found.run())
    yield found
    running.cancel()


async def test_each_change_is_told_once(changes: KeyChanges, kept: Kept, clock: ManualClock) -> None:
    for issuer in ("a", "b"):
        changes.saw(issuer, {"k1": "x"})
    await settle()
    await clock.advance(3600)
    assert kept.noted == [("a", {"k1": "x"}), ("b", {"k1": "x"})]
    assert clock._sleepers == []


async def test_while_the_store_is_away_the_newest_is_kept(changes: KeyChanges, kept: Kept, clock: ManualClock) -> None:
    kept.is_away = True
    changes.saw("a", {"k1": "x"})
    await settle()
    changes.saw("a", {"k2": "y"})
    for _ in range(3):
        await clock.advance(7.5)
    assert kept.asked >= 4
    kept.is_away = False
    await clock.advance(7.5)
    assert kept.noted == [("a", {"k2": "y"})]


async def test_what_changes_while_it_is_told_is_told_as_well(changes: KeyChanges, kept: Kept) -> None:
    kept.gate.clear()
    changes.saw("a", {"k1": "x"})
    await settle()
    changes.saw("a", {"k2": "y"})
    kept.gate.set()
    await settle()
    assert kept.noted == [("a", {"k1": "x"}), ("a", {"k2": "y"})]


async def test_verifiers_tell_of_every_issuer_that_publishes(
    kept: Kept, revocation: Any, publisher: Any, make_jwk: Callable[..., Any]
) -> None:
    publisher.publish(make_jwk("ES256", "k1"))
    where = {"jwks_url": publisher.url, "jwks_private_network": True}
    settings = ClientSettings(
        token=ConnectionTokenSettings(**where), subscription_token=SubscriptionTokenSettings(enabled=True, **where)
    )
    clock = SystemClock()
    verifiers = Verifiers(settings, revocation, clock)
    verifiers.tell_changes(kept)
    running = asyncio.create_task(verifiers.run())
    async with asyncio.timeout(30):  # only ends a hang
        await kept.both.wait()
    running.cancel()
    await asyncio.wait({running})
    assert sorted((issuer, sorted(keys)) for issuer, keys in kept.noted) == [
        ("default", ["k1"]),
        ("subscription:default", ["k1"]),
    ]


async def test_where_nobody_publishes_there_is_nothing_to_run(kept: Kept, revocation: Any, clock: ManualClock) -> None:
    verifiers = Verifiers(ClientSettings(), revocation, clock)
    verifiers.tell_changes(kept)
    await verifiers.run()
    assert kept.asked == 0
