"""Campaigns on every database: each user of an audience is told once, whatever happens on the way (N-9)."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from broker.campaigns import Audience, CampaignState, NewCampaign
from broker.devices import Registration
from broker.errors import BadInput, NotFound
from broker.ledger import NewSend, PlanDone
from broker.notification import Digest, Lane, State, Terms, Variant
from broker.routing import Route, RoutePolicy, in_turn
from broker.store.campaign_pages import expand

PAGE = 10


@pytest.fixture
def new(make_draft):
    """Make a request for a campaign."""

    def make(*topics, rate_per_s=0.0, name="", **more):
        draft = msgspec.structs.replace(make_draft(), users=(), terms=Terms(RoutePolicy()))
        return NewCampaign(Audience(topics), msgspec.structs.replace(draft, **more), rate_per_s, name)

    return make


@pytest.fixture
def run(store, clock):
    """Begin a campaign and tell pages, as many as are given or all; gives the expansions."""

    async def pages(campaign_id, most=1000, *, limit=PAGE, on=store):
        assert await on.campaigns.begin(campaign_id) in (True, False)
        told = []
        while len(told) < most and (page := await on.campaigns.expand(campaign_id, limit=limit)) is not None:
            told.append(page)
        return told

    return pages


async def everything(pipeline):
    """Claim all that is due."""
    steps = []
    while more := await pipeline.claim(1000):
        steps += more
    return steps


async def call_off(store, campaign_id):
    pieces = 0
    while await store.campaigns.call_off(campaign_id):
        pieces += 1
    return pieces


def numbered(count, prefix="user"):
    return [f"{prefix}-{number:03}" for number in range(count)]


async def test_each_subscriber_is_told_once_page_by_page(store, pipeline, new, run):
    users = numbered(35)
    await store.topics.subscribe("news", users)
    await store.topics.subscribe("sport", ["zed"])
    campaign_id = await store.campaigns.create(new("news", name="Tides"))
    assert await store.campaigns.expand(campaign_id, limit=PAGE) is None, "it has not begun"
    pages = await run(campaign_id)
    assert [(page.expanded, page.skipped, page.is_last) for page in pages] == [(10, 0, False)] * 3 + [(5, 0, True)]
    steps = await everything(pipeline)
    assert sorted(step.notification.user for step in steps) == users
    notification = steps[0].notification
    assert (notification.content.title, notification.lane, notification.correlation_id) == ("Tide", Lane.NORMAL, "request-1")
    campaign = await store.campaigns.status(campaign_id)
    assert (campaign.state, campaign.name, campaign.audience) == (CampaignState.DONE, "Tides", Audience(("news",)))
    assert (campaign.size, campaign.expanded, campaign.skipped, campaign.states) == (35, 35, 0, {"pending": 35})
    assert campaign.begun_at == campaign.finished_at == pipeline.clock.now()
    assert await store.campaigns.due() == []


async def test_an_audience_that_ends_with_a_page_ends_with_an_empty_one(store, new, run):
    await store.topics.subscribe("news", numbered(PAGE))
    pages = await run(await store.campaigns.create(new("news")))
    assert [(page.expanded, page.is_last) for page in pages] == [(PAGE, False), (0, True)]


async def test_nobody_is_an_audience_too(store, new, run):
    await store.topics.create("news")
    campaign_id = await store.campaigns.create(new("news"))
    assert [page.is_last for page in await run(campaign_id)] == [True]
    assert (await store.campaigns.status(campaign_id)).size == 0


async def test_all_is_everybody_who_has_a_device(store, pipeline, new, run):
    for user in ("ann", "bob", "bob", "cid"):
        await pipeline.register(user)
    await store.topics.subscribe("news", ["dan"])
    campaign_id = await store.campaigns.create(new())
    assert sum(page.expanded for page in await run(campaign_id, limit=2)) == 3
    assert sorted(step.notification.user for step in await everything(pipeline)) == ["ann", "bob", "cid"]
    campaign = await store.campaigns.status(campaign_id)
    assert (campaign.size, campaign.audience) == (3, Audience())


async def test_who_is_in_several_topics_is_told_once(store, pipeline, new, run):
    """Topics are walked side by side, also where one is much longer or lies behind the other."""
    await store.topics.subscribe("a", numbered(30))
    await store.topics.subscribe("b", numbered(30)[::3] + numbered(5, "zoe"))
    await store.topics.subscribe("c", numbered(4, "ada"))
    campaign_id = await store.campaigns.create(new("a", "b", "c"))
    pages = await run(campaign_id, limit=7)
    assert max(page.expanded for page in pages) == 7
    told = [step.notification.user for step in await everything(pipeline)]
    assert sorted(told) == sorted({*numbered(30), *numbered(5, "zoe"), *numbered(4, "ada")})
    assert (await store.campaigns.status(campaign_id)).state is CampaignState.DONE


async def test_a_subscribed_device_is_told_alone(store, pipeline, new, run):
    phone, tablet = [await pipeline.register("ann") for _ in range(2)]
    await pipeline.register("bob")
    both = await pipeline.register("cid")
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    await store.topics.subscribe("news", ["bob", "cid"])
    await store.topics.subscribe("news", ["cid"], device_id=both.id)
    await run(await store.campaigns.create(new("news")))
    steps = {step.notification.user: step for step in await everything(pipeline)}
    assert [device.id for device in steps["ann"].devices] == [phone.id] != [tablet.id]
    assert Route.LIVE not in steps["ann"].notification.terms.routing.routes
    assert len(steps["bob"].devices) == len(steps["cid"].devices) == 1
    assert not steps["cid"].notification.terms.is_aimed, "as a whole, whatever is subscribed beside"
    assert steps["ann"].notification.content == steps["bob"].notification.content


async def test_a_device_that_is_gone_is_skipped_and_forgotten(store, pipeline, new, run):
    gone, moved = await pipeline.register("ann"), await pipeline.register("bob")
    for user, device in (("ann", gone), ("bob", moved)):
        await store.topics.subscribe("news", [user], device_id=device.id)
    await store.devices.remove("ann", gone.id)
    await store.devices.register(Registration("cid", moved.provider, moved.token, moved.platform))
    campaign_id = await store.campaigns.create(new("news"))
    (page,) = await run(campaign_id)
    assert (page.expanded, page.skipped) == (0, 2)
    assert await store.topics.subscribers("news", limit=10) == []
    assert (await store.campaigns.status(campaign_id)).skipped == 2


async def test_devices_are_skipped_where_no_route_leads_to_one(store, pipeline, new, run):
    phone = await pipeline.register("ann")
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    live = {"routes": (Route.LIVE,), "terms": Terms(RoutePolicy(in_turn([Route.LIVE])))}
    (page,) = await run(await store.campaigns.create(new("news", **live)))
    assert (page.expanded, page.skipped) == (0, 1)
    both = {"routes": (Route.LIVE, Route.PUSH), "terms": Terms(RoutePolicy(((Route.LIVE, Route.PUSH),)))}
    await run(await store.campaigns.create(new("news", **both)))
    (step,) = await everything(pipeline)
    assert step.notification.terms.routing.stages == ((Route.PUSH,),)


async def test_what_goes_to_one_device_is_not_collected_with_what_goes_to_all(store, pipeline, new, run, clock):
    phone = await pipeline.register("ann")
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    await store.topics.subscribe("news", ["bob"])
    await run(await store.campaigns.create(new("news", digest=Digest("posts", 60.0, "{count}"))))
    assert [step.notification.user for step in await everything(pipeline)] == ["ann"]
    clock.move(60)
    due = [step.notification for step in await everything(pipeline)]
    assert [one.user for one in due if one.terms.collects] == ["bob"]


async def test_targets_go_with_their_notification(store, pipeline, new, run, clock):
    phone = await pipeline.register("ann")
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    await run(await store.campaigns.create(new("news")))
    assert (await store.erasure.erase("ann"))["notification_targets"] == 1


async def test_variants_are_those_of_notify(store, pipeline, new, run):
    await store.topics.subscribe("news", numbered(20))
    variants = (Variant("a", 1.0, "A"), Variant("b", 1.0, "B"))
    await run(await store.campaigns.create(new("news", experiment="words", variants=variants)))
    wordings = Counter(step.notification.content.title for step in await everything(pipeline))
    assert set(wordings) == {"A", "B"}


async def test_it_begins_at_its_time(store, new, run, clock):
    await store.topics.subscribe("news", ["ann"])
    send_at = clock.now() + timedelta(hours=1)
    campaign_id = await store.campaigns.create(new("news", terms=Terms(RoutePolicy(), send_at=send_at)))
    (due,) = await store.campaigns.due()
    assert (due.id, due.due_at, due.state) == (campaign_id, send_at, CampaignState.SCHEDULED)
    assert not await store.campaigns.begin(campaign_id)
    clock.move(3600)
    (page,) = await run(campaign_id)
    assert page.expanded == 1
    (step,) = await store.ledger.claim("w", {Lane.NORMAL: 9}, lease_until=clock.now() + timedelta(seconds=9))
    assert step.notification.created_at == clock.now()
    assert step.notification.terms.send_at is None


async def test_times_to_send_are_those_of_notify(store, new, clock):
    await store.topics.create("news")
    for seconds, rule in ((-1, "must not be over"), (367 * 86400, "must be within 366 days")):
        send_at = clock.now() + timedelta(seconds=seconds)
        with pytest.raises(BadInput, match=f"send_at: {rule}"):
            await store.campaigns.create(new("news", terms=Terms(RoutePolicy(), send_at=send_at)))


async def test_an_audience_that_does_not_exist_is_refused(store, new):
    await store.topics.create("news")
    with pytest.raises(BadInput, match="topic: must be a topic that exists"):
        await store.campaigns.create(new("nwes"))
    with pytest.raises(BadInput, match=r"topics\[1\]: must be a topic that exists"):
        await store.campaigns.create(new("news", "nwes", "others"))
    assert await store.campaigns.find(limit=10) == []


async def test_a_repeat_with_the_key_makes_no_second_campaign(store, new, make_draft, together):
    """N-6: the keys are those of `notify`, and stored with the campaign."""
    await store.topics.create("news")
    keyed = {"idempotency_key": "k", "fingerprint": b"one"}
    ids = await together(*(store.campaigns.create(new("news"), **keyed) for _ in range(5)))
    assert len(set(ids)) == 1
    assert [campaign.id for campaign in await store.campaigns.find(limit=10)] == ids[:1]
    with pytest.raises(BadInput, match="idempotency_key: was used before"):
        await store.campaigns.create(new("news"), idempotency_key="k", fingerprint=b"two")
    with pytest.raises(BadInput, match="idempotency_key: was used before"):
        await store.ledger.accept(make_draft("ann"), idempotency_key="k", fingerprint=b"three")


async def test_pages_lie_as_far_apart_as_the_rate_asks(store, new, run, clock):
    await store.topics.subscribe("news", numbered(9))
    campaign_id = await store.campaigns.create(new("news", rate_per_s=2.0))
    assert [page.expanded for page in await run(campaign_id, limit=2)] == [2]
    (due,) = await store.campaigns.due()
    assert (due.due_at - clock.now(), due.rate_per_s) == (timedelta(seconds=1), 2.0)
    clock.move(0.999)
    assert await store.campaigns.expand(campaign_id, limit=2) is None
    clock.move(60)
    assert len(await run(campaign_id, limit=2)) == 2, "whoever was away catches up one page, and no more"


async def test_a_pause_keeps_the_place(store, pipeline, new, run, clock):
    users = numbered(35)
    await store.topics.subscribe("news", users)
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id, 2)
    assert await store.campaigns.pause(campaign_id) is CampaignState.PAUSED
    assert await store.campaigns.pause(campaign_id) is CampaignState.PAUSED
    assert await run(campaign_id) == []
    assert await store.campaigns.due() == []
    clock.move(3600)
    assert await store.campaigns.resume(campaign_id) is CampaignState.RUNNING
    await run(campaign_id)
    assert sorted(step.notification.user for step in await everything(pipeline)) == users
    assert await store.campaigns.pause(campaign_id) is CampaignState.DONE
    assert await store.campaigns.resume(campaign_id) is CampaignState.DONE


async def test_one_that_is_paused_before_its_time_waits_for_it(store, new, clock):
    await store.topics.create("news")
    send_at = clock.now() + timedelta(hours=1)
    campaign_id = await store.campaigns.create(new("news", terms=Terms(RoutePolicy(), send_at=send_at)))
    assert await store.campaigns.pause(campaign_id) is CampaignState.PAUSED
    assert await store.campaigns.resume(campaign_id) is CampaignState.SCHEDULED
    (due,) = await store.campaigns.due()
    assert due.due_at == send_at


async def test_a_cancel_in_the_middle_tells_nobody_more_and_calls_the_others_off(store, pipeline, new, run):
    """N-9: cancel works during fan-out; what has ended before stays as it is."""
    await store.topics.subscribe("news", numbered(35))
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id, 2)
    seen, *_, held = await everything(pipeline)
    await store.ledger.acknowledge(seen.notification.id, seen.notification.user)
    assert await store.campaigns.cancel(campaign_id) is CampaignState.CANCELLED
    assert await store.campaigns.cancelled() == campaign_id
    assert await run(campaign_id) == []
    assert await call_off(store, campaign_id) == 2
    assert await store.campaigns.cancelled() == ""
    campaign = await store.campaigns.status(campaign_id)
    assert (campaign.expanded, campaign.states) == (20, {"acknowledged": 1, "cancelled": 19})
    assert campaign.finished_at is not None
    assert store.ledger.is_ended(held.notification.id), "who holds a step is told before it sends"
    status = await store.ledger.status(held.notification.id)
    assert [entry.detail for entry in status.entries] == ["its campaign was called off"]
    for move in (store.campaigns.pause, store.campaigns.resume, store.campaigns.cancel):
        assert await move(campaign_id) is CampaignState.CANCELLED


async def test_large_pages_are_called_off_in_pieces(store, new, run):
    await store.topics.subscribe("news", numbered(999))
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id, limit=1000)
    await store.campaigns.cancel(campaign_id)
    assert await call_off(store, campaign_id) == 2
    assert (await store.campaigns.status(campaign_id)).states == {"cancelled": 999}


async def test_one_that_is_done_is_cancelled_while_something_is_pending(store, pipeline, new, run, clock):
    await store.topics.subscribe("news", ["ann", "bob"])
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id)
    plans = [PlanDone(step, finish=State.EXHAUSTED) for step in await everything(pipeline)]
    await store.ledger.record(plans[:1], [])
    assert await store.campaigns.cancel(campaign_id) is CampaignState.CANCELLED
    await call_off(store, campaign_id)
    assert (await store.campaigns.status(campaign_id)).states == {"exhausted": 1, "cancelled": 1}

    over = await store.campaigns.create(new("news"))
    await run(over)
    await store.ledger.record([PlanDone(step, finish=State.EXHAUSTED) for step in await everything(pipeline)], [])
    clock.move(10)
    await store.campaigns.tally(limit=10, within_s=1e6)
    assert await store.campaigns.cancel(over) is CampaignState.DONE


async def test_what_becomes_of_notifications_is_counted_more_and_more_rarely(store, pipeline, new, run, clock):
    await store.topics.subscribe("news", numbered(15))
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id)
    steps = await everything(pipeline)
    await store.ledger.record([PlanDone(step, finish=State.EXHAUSTED) for step in steps[:9]], [])
    assert await store.campaigns.tally(limit=10, within_s=1e6) == 0, "it is not their turn"
    clock.move(2)
    assert [await store.campaigns.tally(limit=1, within_s=1e6) for _ in range(3)] == [1, 1, 0]
    assert (await store.campaigns.status(campaign_id)).states == {"pending": 6, "exhausted": 9}
    await store.ledger.record([PlanDone(step, finish=State.FAILED) for step in steps[9:]], [])
    await store.ledger.acknowledge(steps[0].notification.id, steps[0].notification.user)
    looks = 0
    for _ in range(120):
        clock.move(7200)
        looks += await store.campaigns.tally(limit=10, within_s=7 * 86400)
    assert (await store.campaigns.status(campaign_id)).states == {"acknowledged": 1, "exhausted": 8, "failed": 6}
    assert 10 < looks < 40


async def test_who_was_erased_is_told_apart(store, pipeline, new, run, clock):
    await store.topics.subscribe("news", ["ann", "bob"])
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id)
    await store.erasure.erase("ann")
    clock.move(2)
    await store.campaigns.tally(limit=10, within_s=1e6)
    assert (await store.campaigns.status(campaign_id)).states == {"pending": 1, "removed": 1}


async def test_counts_outlive_the_notifications(store, pipeline, new, run, clock):
    await store.topics.subscribe("news", ["ann"])
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id)
    (step,) = await everything(pipeline)
    await store.ledger.record([PlanDone(step, finish=State.EXHAUSTED)], [])
    clock.move(2)
    await store.campaigns.tally(limit=10, within_s=1e6)
    clock.move(60)
    assert await store.retention.sweep(before=clock.now(), limit=10) == 1
    assert await store.campaigns.tally(limit=10, within_s=1e6) == 1
    assert (await store.campaigns.status(campaign_id)).states == {"exhausted": 1}
    clock.move(1e6)
    assert await store.campaigns.tally(limit=10, within_s=1e6) == 0


async def test_several_processes_tell_nobody_twice(store, open_another, pipeline, new, run):
    users = numbered(240)
    await store.topics.subscribe("news", users)
    campaign_id = await store.campaigns.create(new("news"))
    others = [await open_another() for _ in range(2)]
    await store.campaigns.begin(campaign_id)

    async def work(one):
        while (await one.campaigns.status(campaign_id)).state is CampaignState.RUNNING:
            if await one.campaigns.expand(campaign_id, limit=PAGE) is None:
                await asyncio.sleep(0)

    await asyncio.gather(*(work(one) for one in (store, *others)))
    assert sorted(step.notification.user for step in await everything(pipeline)) == users
    assert (await store.campaigns.status(campaign_id)).expanded == 240


async def test_a_page_that_breaks_leaves_nothing(store, pipeline, new, run):
    """All of a page or nothing of it: counters, place and notifications commit together."""
    await store.topics.subscribe("news", numbered(15))
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id, 1)
    with pytest.raises(ZeroDivisionError):
        await store.campaigns._database.write(lambda connection: (_expand(connection, store, campaign_id), 1 / 0))
    campaign = await store.campaigns.status(campaign_id)
    assert (campaign.expanded, campaign.states) == (10, {"pending": 10})
    await run(campaign_id)
    assert sorted(step.notification.user for step in await everything(pipeline)) == numbered(15)


def _expand(connection, store, campaign_id):
    return expand(connection, campaign_id, PAGE, store.campaigns._clock)


async def test_campaigns_of_a_lane_take_turns(store, new, run, clock):
    await store.topics.subscribe("news", numbered(30))
    first, second = [await store.campaigns.create(new("news", name=name)) for name in "ab"]
    bulk = await store.campaigns.create(new("news", lane=Lane.BULK))
    for one in (first, second):
        await store.campaigns.begin(one)
    turns = []
    for _ in range(4):
        clock.move(0.01)
        due = {one.lane: one.id for one in await store.campaigns.due()}
        assert due[Lane.BULK] == bulk
        turns.append(due[Lane.NORMAL])
        await store.campaigns.expand(turns[-1], limit=PAGE)
    assert turns[:2] in ([first, second], [second, first])
    assert turns[2:] == turns[:2]


async def test_what_waits_is_counted_up_to_a_limit(store, pipeline, new, run, clock, make_draft):
    await store.ledger.accept(make_draft(*numbered(8)))
    await store.ledger.accept(make_draft(*numbered(3), lane=Lane.BULK))
    assert [await store.campaigns.waiting(Lane.NORMAL, (), limit=limit) for limit in (100, 5)] == [8, 5]
    assert await store.campaigns.waiting(Lane.BULK, (), limit=100) == 3
    device = await pipeline.register("user-000")
    (step, *others) = await pipeline.claim(8, lanes=[Lane.NORMAL])
    sends = (NewSend(device, pipeline.after(3600)),)
    waits = [PlanDone(one, next_plan_at=pipeline.after(30)) for one in others]
    await store.ledger.record([PlanDone(step, sends=sends), *waits], [])
    # A delivery that a rate has put off waits; a decision that has its time does not.
    assert await store.campaigns.waiting(Lane.NORMAL, {"apns", "fcm"}, limit=100) == 1
    # What waits for a carrier that is paused holds up no campaign to others.
    assert await store.campaigns.waiting(Lane.NORMAL, {"apns"}, limit=100) == 0


async def test_a_rate_can_change_on_the_way(store, new, run, clock):
    await store.topics.subscribe("news", numbered(40))
    campaign_id = await store.campaigns.create(new("news", rate_per_s=1.0))
    starts_at = clock.now()
    assert (await store.campaigns.set_rate(campaign_id, 0.01)).rate_per_s == 0.01
    assert [one.due_at for one in await store.campaigns.due()] == [starts_at], "its time is no matter of its rate"
    await run(campaign_id, 1)
    assert [one.due_at for one in await store.campaigns.due()] == [starts_at + timedelta(seconds=1000)]
    changed = await store.campaigns.set_rate(campaign_id, 10.0)
    assert (changed.state, changed.rate_per_s, changed.expanded) == (CampaignState.RUNNING, 10.0, 10)
    assert [(one.due_at, one.rate_per_s) for one in await store.campaigns.due()] == [(starts_at + timedelta(seconds=1), 10.0)]
    assert await run(campaign_id) == []
    clock.move(1)
    assert len(await run(campaign_id)) == 1
    await store.campaigns.pause(campaign_id)
    assert (await store.campaigns.set_rate(campaign_id, 0.0)).state is CampaignState.PAUSED
    assert await store.campaigns.due() == []
    await store.campaigns.resume(campaign_id)
    assert len(await run(campaign_id)) >= 2, "as fast as can be"
    ended = await store.campaigns.set_rate(campaign_id, 5.0)
    assert (ended.state, ended.rate_per_s) == (CampaignState.DONE, 0.0)
    with pytest.raises(NotFound):
        await store.campaigns.set_rate("none", 1.0)
    with pytest.raises(NotFound):
        await store.campaigns.set_rate("\0", 1.0)


async def test_a_topic_that_goes_ends_its_campaign(store, new, run):
    await store.topics.subscribe("news", numbered(15))
    campaign_id = await store.campaigns.create(new("news"))
    await run(campaign_id, 1)
    await store.topics.remove("news")
    await store.topics.sweep(limit=1000)
    await store.topics.subscribe("news", numbered(9, "zoe"))
    assert [page.expanded for page in await run(campaign_id)] == [0]
    assert (await store.campaigns.status(campaign_id)).state is CampaignState.DONE


async def test_lists_come_in_pages_newest_first(store, new, clock):
    await store.topics.create("news")
    ids = []
    for _ in range(5):
        ids.append(await store.campaigns.create(new("news")))
        clock.move(1)
    await store.campaigns.pause(ids[2])
    found = await store.campaigns.find(limit=2)
    assert [one.id for one in found] == [ids[4], ids[3]]
    assert [one.id for one in await store.campaigns.find(before=ids[3], limit=2)] == [ids[2], ids[1]]
    assert [one.id for one in await store.campaigns.find(state=CampaignState.PAUSED, limit=9)] == [ids[2]]
    assert await store.campaigns.find(before="\0", limit=9) == ()


async def test_old_ones_go_in_pieces(store, new, run, clock):
    await store.topics.subscribe("news", numbered(35))
    old = await store.campaigns.create(new("news"))
    await run(old)
    clock.move(60)
    young, running = await store.campaigns.create(new("news")), await store.campaigns.create(new("news"))
    await run(young)
    before = clock.now() - timedelta(seconds=30)
    assert [await store.campaigns.sweep(before=before, limit=3) for _ in range(3)] == [3, 2, 0]
    assert {one.id for one in await store.campaigns.find(limit=9)} == {young, running}
    with pytest.raises(NotFound, match="campaign not found"):
        await store.campaigns.status(old)


async def test_one_that_is_not_there_is_not_found(store):
    for call in (store.campaigns.status, store.campaigns.pause, store.campaigns.resume, store.campaigns.cancel):
        for campaign_id in ("none", "\0"):
            with pytest.raises(NotFound, match="campaign not found"):
                await call(campaign_id)
    assert not await store.campaigns.begin("none")
    assert await store.campaigns.expand("none", limit=1) is None
    assert not await store.campaigns.call_off("none")
