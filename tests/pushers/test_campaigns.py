"""The duties of campaigns on a real store: what is done next, how fast, and when not."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from broker.campaigns import Audience, CampaignState, NewCampaign
from broker.ledger import PlanDone
from broker.notification import DEFAULT_ROUTES, Content, Draft, Lane, State, Terms
from broker.routing import RoutePolicy
from broker.store.store import open_store
from config.audience_settings import CampaignSettings
from config.clock import ManualClock
from pushers.campaigns import CampaignDuties
from pushers.metrics import Metrics


class Office:
    """A store with a topic of some users, and the duties of one process; the pipeline is the test."""

    def __init__(self, store, clock, users):
        self.store, self.clock, self.users = store, clock, users
        self.counted = {"expanded": 0, "skipped": 0}
        self.told_of_inbox, self.carriers = [], {"fcm"}
        self.duties = self.process()

    def process(self, backlog=100, retention_s=0.0):
        settings = CampaignSettings(backlog=backlog)
        return CampaignDuties(
            self.store.campaigns,
            self.store.topics,
            settings,
            self.clock,
            carriers=lambda: self.carriers,
            retention_s=retention_s,
            count=self._count,
            inbox_changed=self.told_of_inbox.extend,
        )

    def _count(self, result, users):
        self.counted[result] += users

    async def start(self, *topics, lane=Lane.BULK, rate_per_s=0.0, **terms):
        draft = Draft((), Content("Tide"), lane, DEFAULT_ROUTES, 5.0, 5.0, 1e6, terms=Terms(RoutePolicy(), **terms))
        return await self.store.campaigns.create(NewCampaign(Audience(topics or ("news",)), draft, rate_per_s))

    async def told(self, campaign_id):
        return (await self.store.campaigns.status(campaign_id)).expanded

    async def state(self, campaign_id):
        return (await self.store.campaigns.status(campaign_id)).state

    async def work(self, most=1000):
        """Do pieces until a pause is asked for; gives the pause."""
        for _ in range(most):
            if pause_s := await self.duties.advance():
                return pause_s
        return 0.0

    async def deliver(self, most=1000):
        """Be the pipeline: end what is due."""
        steps = await self.store.ledger.claim("w", dict.fromkeys(Lane, most), lease_until=self.clock.now() + timedelta(hours=1))
        await self.store.ledger.record([PlanDone(step, finish=State.EXHAUSTED) for step in steps], [])
        return len(steps)


@pytest.fixture
async def office(store_file):
    clock = ManualClock()
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    users = [f"user-{number:04}" for number in range(350)]
    await store.topics.subscribe("news", users)
    yield Office(store, clock, users)
    await store.close()


async def test_nothing_to_do_is_looked_for_each_second(office):
    assert await office.duties.advance() == 1.0
    assert await office.duties.tally() == 1.0
    assert await office.duties.sweep() == 30.0


async def test_a_full_queue_is_left_alone_until_it_is_shorter(office):
    """N-33: bulk waits for its turn; no more of it lies in the queue than a bound, however large the audience is."""
    campaign_id = await office.start()
    assert await office.work() == 0.25
    assert (await office.told(campaign_id), await office.duties.advance()) == (100, 0.25)
    await office.deliver(40)
    assert await office.work() == 0.25, "a look counts for a moment"
    office.clock.move(0.25)
    await office.work()
    assert await office.told(campaign_id) == 140
    while await office.state(campaign_id) is not CampaignState.DONE:
        assert await office.store.campaigns.waiting(Lane.BULK, {"fcm"}, limit=1000) <= 100
        await office.deliver(100)
        office.clock.move(0.25)
        await office.work()
    assert office.counted == {"expanded": 350, "skipped": 0}


async def test_a_full_lane_holds_up_no_other(office):
    """R14"""
    bulk, urgent = await office.start(), await office.start(lane=Lane.HIGH)
    await office.work()
    assert [await office.told(one) for one in (bulk, urgent)] == [100, 100]
    critical = await office.start(lane=Lane.CRITICAL)
    await office.work()
    assert await office.told(critical) == 100


async def test_the_rate_is_kept_by_due_times(office):
    office.duties = office.process(backlog=10_000)
    campaign_id = await office.start(rate_per_s=20.0)
    counts = []
    for _ in range(5):
        pause_s = await office.work()
        counts.append(await office.told(campaign_id))
        assert pause_s == pytest.approx(1.0)
        office.clock.move(pause_s)
    assert counts == [20, 40, 60, 80, 100]
    office.clock.move(3600)
    await office.work()
    assert await office.told(campaign_id) == 140, "what was missed in an hour is not made up for at once"


async def test_whose_inbox_has_something_new_is_told(office):
    await office.start()
    await office.work()
    assert office.told_of_inbox == office.users[:100]
    await office.deliver()
    office.clock.move(1)
    await office.start(lane=Lane.HIGH, send_at_local="09:00", arrives=True)
    office.told_of_inbox.clear()
    await office.store.campaigns.cancel((await office.store.campaigns.find(limit=2))[1].id)
    await office.work()
    assert office.told_of_inbox == [], "it arrives at its time, which a decision tells"


async def test_slow_rates_tell_single_users(office):
    campaign_id = await office.start(rate_per_s=0.5)
    await office.work()
    assert await office.told(campaign_id) == 1
    office.clock.move(1.999)
    await office.work()
    assert await office.told(campaign_id) == 1
    office.clock.move(0.001)
    await office.work()
    assert await office.told(campaign_id) == 2


async def test_it_sleeps_until_the_time_of_one_that_is_scheduled(office):
    campaign_id = await office.start(send_at=office.clock.now() + timedelta(seconds=10.5))
    assert await office.work() == 1.0
    office.clock.move(10)
    assert await office.work() == 0.5
    office.clock.move(0.5)
    await office.work()
    assert await office.told(campaign_id) == 100


async def test_what_is_cancelled_goes_first_and_holds_up_no_other(office):
    first = await office.start()
    await office.work()
    second = await office.start(lane=Lane.HIGH)
    await office.store.campaigns.cancel(first)
    assert await office.duties.advance() == 0.0
    assert (await office.store.campaigns.status(first)).states.get("pending", 0) == 0
    assert await office.state(second) is CampaignState.RUNNING
    await office.work()
    assert (await office.store.campaigns.status(first)).finished_at is not None
    assert await office.told(second) == 100


async def test_two_processes_share_campaigns(office):
    other = office.process(backlog=100_000)
    office.duties = office.process(backlog=100_000)
    campaign_id = await office.start(rate_per_s=50.0)
    for _ in range(20):
        await office.duties.advance()
        await other.advance()
        office.clock.move(0.5)
    assert await office.told(campaign_id) == 350
    assert await office.deliver() == 350


async def test_counts_follow_and_end(office):
    office.duties = office.process(retention_s=3600.0)
    campaign_id = await office.start()
    await office.work()
    await office.deliver()
    office.clock.move(3)
    assert await office.duties.tally() == 1.0
    assert (await office.store.campaigns.status(campaign_id)).states == {"exhausted": 100}
    for _ in range(100):
        office.clock.move(60)
        await office.duties.tally()
    assert await office.store.campaigns.tally(limit=10, within_s=1e9) == 0, "notifications are kept for an hour only"


async def test_what_is_over_is_cleared_away(office):
    campaign_id = await office.start()
    await office.store.campaigns.cancel(campaign_id)
    await office.work()
    await office.store.topics.remove("news")
    assert await office.duties.sweep() == 0.2
    assert await office.duties.sweep() == 30.0
    assert len(await office.store.campaigns.find(limit=10)) == 1
    office.clock.move(CampaignSettings().retention)
    assert await office.duties.sweep() == 0.2
    assert await office.store.campaigns.find(limit=10) == []


def test_metrics_name_no_campaign():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.campaigned("expanded", 1000)
    metrics.campaigned("skipped", 2)
    assert registry.get_sample_value("heliograph_campaign_users_total", {"result": "expanded"}) == 1000
    assert registry.get_sample_value("heliograph_campaign_users_total", {"result": "skipped"}) == 2


async def test_the_duties_have_names(office):
    assert [duty.name for duty in office.duties.duties()] == ["campaigns", "campaign_counts", "campaign_retention"]
