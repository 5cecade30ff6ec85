"""News of inboxes: connected users are told, once per burst, and nobody is counted who is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.channels import ChannelRules
from broker.confirmations import Mark
from broker.engines.memory.engine import MemoryEngine
from broker.errors import EngineUnavailable
from broker.inbox_news import InboxNews
from broker.notification import Content, Draft, Lane, Route
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.settings import ChannelSettings, PersonalChannelSettings


class Desk:
    """An engine, a store, and the news between them."""

    def __init__(self, store: Store, engine: MemoryEngine, clock: ManualClock, **personal: Any) -> None:
        self.store, self.engine, self.clock = store, engine, clock
        self.told: list[tuple[str, Any, int]] = []
        self.asked: list[frozenset[str]] = []
        self.failures: list[Exception] = []
        options = {"history_size": 10, "history_ttl": "60s"}
        rules = ChannelRules(
            ChannelSettings(without_namespace=options), PersonalChannelSettings(**{"enabled": True, **personal})
        )
        self.here: set[str] = set()
        self.connected, self.disconnected = engine.users.connected, engine.users.disconnected
        self.news = InboxNews(store.inbox, self, engine.pubsub, rules, clock, is_here=self.here.__contains__)
        engine.pubsub.on_message(
            lambda channel, message: self.told.append((channel, msgspec.json.decode(message.data), message.offset))
        )

    async def online(self, users: frozenset[str]) -> frozenset[str]:
        """Play `UserPresence`."""
        self.asked.append(users)
        if self.failures:
            raise self.failures.pop()
        return await self.engine.users.online(users)

    async def notify(self, *users: str) -> list[str]:
        draft = Draft(users, Content("Tide"), Lane.NORMAL, (Route.LIVE,), 5.0, 5.0, 600.0)
        return [one.id for one in await self.store.ledger.accept(draft)]

    async def come(self, user: str) -> None:
        await self.engine.users.connected(user, f"client-of-{user}")
        self.here.add(user)
        await self.engine.pubsub.subscribe(f"#{user}")
        await self.news.watch(user)

    async def heard(self, number: int) -> list[tuple[str, Any, int]]:
        async with asyncio.timeout(30):
            while len(self.told) < number:
                await self.clock.advance(0.1)
        return self.told


@pytest.fixture
async def parts(clock: ManualClock, store_file: Path) -> AsyncIterator[tuple[Store, MemoryEngine, ManualClock]]:
    store, engine = await open_store(f"sqlite:///{store_file}", clock=clock), MemoryEngine(clock)
    await engine.start()
    yield store, engine, clock
    await engine.close()
    await store.close()


@pytest.fixture
async def desk(parts: tuple[Store, MemoryEngine, ManualClock]) -> AsyncIterator[Desk]:
    desk = Desk(*parts)
    running = asyncio.create_task(desk.news.run())
    yield desk
    running.cancel()
    await asyncio.wait({running})


async def test_a_burst_is_told_once_and_kept_in_no_stream(desk: Desk) -> None:
    await desk.come("ann")
    for _ in range(3):
        await desk.notify("ann")
        desk.news.changed(["ann"])
    assert await desk.heard(1) == [("#ann", {"inbox": {"unseen": 3, "unread": 3}}, 0)]
    await desk.store.inbox.mark_all("ann", Mark.SEEN)
    desk.news.changed(["ann"])
    assert (await desk.heard(2))[1:] == [("#ann", {"inbox": {"unseen": 0, "unread": 3}}, 0)]
    assert len(desk.asked) == 2


async def test_only_those_who_are_connected_are_told(desk: Desk) -> None:
    await desk.come("ann")
    users = [f"user-{number}" for number in range(700)]
    desk.news.changed([*users, "ann"])
    assert [channel for channel, _, _ in await desk.heard(1)] == ["#ann"]
    assert [len(asked) for asked in desk.asked] == [500, 201]


async def test_after_an_outage_the_next_change_is_told(desk: Desk) -> None:
    await desk.come("ann")
    for failure in (EngineUnavailable("away"), RuntimeError("an error of ours")):
        desk.failures.append(failure)
        desk.news.changed(["ann"])
        async with asyncio.timeout(30):
            while desk.failures:
                await desk.clock.advance(0.1)
    desk.news.changed(["ann"])
    assert len(await desk.heard(1)) == 1


async def test_where_personal_channels_are_off_nobody_is_asked(parts: tuple[Store, MemoryEngine, ManualClock]) -> None:
    desk = Desk(*parts, enabled=False)
    running = asyncio.create_task(desk.news.run())
    desk.news.changed(["ann"])
    await desk.clock.advance(1)
    running.cancel()
    await asyncio.wait({running})
    assert (desk.asked, desk.told) == ([], [])


async def test_who_never_asked_for_the_inbox_is_not_told(desk: Desk) -> None:
    await desk.engine.users.connected("bob", "client-of-bob")
    await desk.engine.pubsub.subscribe("#bob")
    await desk.come("ann")
    desk.news.changed(["bob", "ann"])
    assert [channel for channel, _, _ in await desk.heard(1)] == ["#ann"]


async def test_who_has_gone_is_forgotten(desk: Desk) -> None:
    await desk.come("ann")
    desk.here.clear()
    await desk.clock.advance(61)
    await desk.come("bob")  # rings the bell
    watchers = frozenset({"ann\x00inbox", "bob\x00inbox"})
    async with asyncio.timeout(30):
        while await desk.engine.users.online(watchers) != {"bob\x00inbox"}:
            await desk.clock.advance(0.1)
