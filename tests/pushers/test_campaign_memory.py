"""A campaign's memory is that of a page, however large its audience is."""

import re
import sys
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import text

from broker.campaigns import Audience, NewCampaign
from broker.notification import DEFAULT_ROUTES, Content, Draft, Lane, Terms
from broker.routing import RoutePolicy
from broker.store.store import open_store
from config.audience_settings import CampaignSettings
from config.clock import ManualClock
from pushers.campaigns import CampaignDuties

MEBIBYTE = 2**20


@pytest.fixture
async def store(store_file):
    opened = await open_store(f"sqlite:///{store_file}", clock=ManualClock())
    yield opened
    await opened.close()


async def subscribe(store, count):
    """Subscribe users as rows, which is quicker than asking for each."""
    await store.topics.create("everybody")
    rows = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
        "INSERT INTO topic_subscribers SELECT number, 'user-' || printf('%08d', i), '', 0 FROM n, topics ORDER BY number, i"
    )
    await store.topics._database.write(lambda connection: connection.execute(rows, {"count": count}))


async def begin(store):
    draft = Draft((), Content("Tide"), Lane.BULK, DEFAULT_ROUTES, 5.0, 5.0, 1e6, terms=Terms(RoutePolicy()))
    campaign_id = await store.campaigns.create(NewCampaign(Audience(("everybody",)), draft))
    duties = CampaignDuties(
        store.campaigns, store.topics, CampaignSettings(backlog=1_000_000), ManualClock(), carriers=frozenset
    )
    assert await duties.advance() == 0.0
    return campaign_id, duties


async def test_every_page_takes_as_much_as_the_one_before(store):
    await subscribe(store, 6000)
    campaign_id, duties = await begin(store)
    await duties.advance()  # what is made once
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(5):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            await duties.advance()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert (await store.campaigns.status(campaign_id)).expanded == 6000
    assert max(peaks) < 8 * MEBIBYTE
    assert peaks[-1] < 1.5 * peaks[0]


def memory(kind):
    """The memory of this process as the kernel counts it, in bytes: `VmRSS` now, `VmHWM` at most."""
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.timeout(300)
async def test_a_million_users_take_the_memory_of_a_page(store):
    """N-9: fifty pages of an audience of a million, each told whole, and the place kept in the store."""
    await subscribe(store, 1_000_000)
    campaign_id, duties = await begin(store)
    for _ in range(5):  # the writer's cache of the file fills at first
        await duties.advance()
    Path("/proc/self/clear_refs").write_text("5")  # noqa: ASYNC240 - no file; the peak counts from here
    before = memory("VmRSS")
    for _ in range(45):
        assert await duties.advance() == 0.0
    grown = memory("VmHWM") - before
    campaign = await store.campaigns.status(campaign_id)
    assert (campaign.size, campaign.expanded) == (1_000_000, 50_000)
    assert grown < 32 * MEBIBYTE, "the ids of a million users alone take twice as much"
