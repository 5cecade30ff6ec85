"""N-33: what would wait too long is refused with a word when to ask again; bulk first, critical ones last."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.errors import StoreUnavailable, Withheld
from broker.ledger import NewSend, PlanDone
from broker.notification import Device, Lane, Provider
from broker.store.store import open_store
from config.clock import ManualClock
from config.operation_settings import OverloadSettings
from config.settings import NotificationSettings
from gateway.notify.campaigns import CampaignService, campaign_methods
from gateway.notify.methods import notification_methods
from gateway.notify.overload import Overload, all_of
from gateway.notify.service import NotificationService

LIMITS = {"bulk": 60.0, "normal": 120.0, "high": 300.0, "critical": 600.0}


class Queue:
    """Tells how late each lane is; a backlog that can go away."""

    def __init__(self, clock):
        self.clock, self.late_s, self.is_away, self.asked = clock, {}, False, 0

    async def undecided(self):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        now = self.clock.now()
        return {lane: now - timedelta(seconds=late_s) for lane, late_s in reversed(self.late_s.items())}


class Scene:
    def __init__(self, limits=LIMITS):
        self.clock = ManualClock()
        self.queue = Queue(self.clock)
        self.held = set()
        self.overload = Overload(self.queue, OverloadSettings(**limits), self.clock, held=lambda: self.held)

    async def refused(self, **late_s):
        """Which lanes are refused when the oldest steps are so late."""
        self.queue.late_s = {Lane[name.upper()]: seconds for name, seconds in late_s.items()}
        await self.overload.look()
        return {lane.name.lower() for lane in Lane if self.wait_of(lane) is not None}

    def wait_of(self, lane):
        try:
            self.overload.take_in(lane)
        except Withheld as exc:
            return exc.retry_after_s
        return None


@pytest.mark.parametrize(
    ("late_s", "refused"),
    [
        ({}, set()),
        ({"bulk": 60}, set()),
        ({"bulk": 61}, {"bulk"}),
        ({"bulk": 90_000}, {"bulk"}),  # nothing else waits behind it
        ({"normal": 61}, {"bulk"}),  # what goes first makes it wait
        ({"normal": 121}, {"bulk", "normal"}),
        ({"critical": 61}, {"bulk"}),
        ({"critical": 301}, {"bulk", "normal", "high"}),
        ({"critical": 601}, {"bulk", "normal", "high", "critical"}),
        ({"high": 9_000}, {"bulk", "normal", "high"}),
    ],
)
async def test_bulk_is_refused_first_and_critical_last(late_s, refused):
    assert await Scene().refused(**late_s) == refused


@given(st.dictionaries(st.sampled_from(["critical", "high", "normal", "bulk"]), st.floats(0, 1000)))
async def test_whoever_is_refused_everybody_less_important_is_too(late_s):
    refused = await Scene().refused(**late_s)
    order = ["bulk", "normal", "high", "critical"]
    assert refused == set(order[: len(refused)])


async def test_it_says_when_to_ask_again():
    scene = Scene()
    await scene.refused(bulk=70)
    assert scene.wait_of(Lane.BULK) == pytest.approx(10)
    await scene.refused(bulk=9_000)
    assert scene.wait_of(Lane.BULK) == 60
    await scene.refused(bulk=60.2)
    assert scene.wait_of(Lane.BULK) == 1
    assert scene.overload.refused_by_lane[Lane.BULK] == 6


async def test_all_is_taken_again_once_the_queue_has_come_down():
    scene = Scene()
    assert await scene.refused(normal=121) == {"bulk", "normal"}
    assert await scene.refused(normal=2) == set()


async def test_without_limits_nobody_looks_and_nobody_is_refused():
    scene = Scene({})
    assert not scene.overload.is_on
    await scene.overload.run()  # ends by itself
    assert scene.queue.asked == 0
    assert await scene.refused(bulk=9_000, critical=9_000) == set()


async def test_lanes_without_a_limit_are_never_refused():
    assert await Scene({"bulk": 60}).refused(critical=9_000) == {"bulk"}


async def test_a_lane_that_is_held_is_not_behind_and_holds_up_no_other():
    scene = Scene()
    scene.held = {Lane.HIGH, Lane.BULK}
    assert await scene.refused(high=9_000, bulk=9_000) == set()
    assert await scene.refused(high=9_000, normal=121) == {"normal"}


async def test_what_was_seen_long_ago_counts_no_more():
    scene = Scene()
    assert await scene.refused(bulk=90) == {"bulk"}
    scene.queue.is_away = True
    assert 0 < await scene.overload.look() < 6
    assert scene.wait_of(Lane.BULK) is not None
    scene.clock.move(16)
    assert scene.wait_of(Lane.BULK) is None


@pytest.mark.parametrize(
    "limits", [{"bulk": "5m", "normal": "1m"}, {"bulk": "5m", "critical": "1m"}, {"high": "2m", "critical": "1m"}]
)
def test_a_shorter_limit_for_what_is_more_important_is_refused(limits):
    with pytest.raises(ValidationError, match="bulk is refused first, critical last"):
        OverloadSettings(**limits)


async def test_what_is_refused_is_counted_for_prometheus():
    scene = Scene()
    await scene.refused(normal=121)
    (family,) = scene.overload.collect()
    counted = {sample.labels["lane"]: sample.value for sample in family.samples}
    assert counted == {"bulk": 1, "normal": 1, "high": 0, "critical": 0}
    assert list(Scene({}).overload.collect()) == []


async def test_several_doors_are_all_asked():
    scene, seen = Scene(), []
    await scene.refused(bulk=61)
    take_in = all_of(seen.append, scene.overload.take_in)
    take_in(Lane.HIGH)
    with pytest.raises(Withheld):
        take_in(Lane.BULK)
    assert seen == [Lane.HIGH, Lane.BULK]


@pytest.fixture
async def open_desk(world, api, tmp_path):
    """The HTTP API over a real store, with limits; gives the API, the store, its clock and what looks at it."""
    clock, settings = ManualClock(), NotificationSettings(overload=OverloadSettings(**LIMITS))
    store = await open_store(f"sqlite:///{tmp_path}/overload.db", clock=clock)
    overload = Overload(store.backlog, settings.overload, clock)
    campaigns = CampaignService(store.campaigns, settings, intake=overload.take_in)
    service = NotificationService(
        store.ledger, store.devices, store.preferences, settings, campaigns=campaigns, intake=overload.take_in
    )
    yield api(world(), [*notification_methods(service), *campaign_methods(campaigns)]), store, clock, overload
    await store.close()


async def test_over_the_api_it_is_503_with_a_moment_to_come_back(open_desk):
    api, _store, clock, overload = open_desk
    (waits,) = (await api.result("notify", user="ann", title="Tide"))["notifications"]
    clock.move(130)
    await overload.look()
    for request in (
        {"user": "bob", "title": "Tide"},
        {"user": "bob", "title": "Tide", "priority": "bulk", "idempotency_key": "k-1"},
    ):
        for headers in ({}, {"X-Centrifugo-Error-Mode": "transport"}):
            refused = await api.post("notify", request, headers)
            late_s = 130 - LIMITS[request.get("priority", "normal")]
            assert (refused.status_code, refused.headers["retry-after"]) == (503, f"{min(60, late_s):.0f}")
            assert "not taken now, try again later" in refused.text
    campaign = {"audience": {"all": True}, "notification": {"title": "Tide", "priority": "bulk"}}
    assert (await api.post("campaign_create", campaign)).status_code == 503
    assert (await api.post("notify", {"user": "bob", "title": "Tide", "priority": "high"})).status_code == 200
    await api.result("notification_cancel", id=waits["id"])
    await overload.look()
    assert (await api.post("notify", {"user": "bob", "title": "Tide"})).status_code == 200


async def test_a_paused_carrier_with_an_old_backlog_refuses_nobody(open_desk):
    """N-33, N-10"""
    api, store, clock, overload = open_desk
    await api.result("notify", users=["ann", "bob"], title="Tide")
    until, now = clock.now() + timedelta(seconds=30), clock.now()
    plans = await store.ledger.claim("w", {Lane.NORMAL: 9}, lease_until=until)
    device = Device("d-1", "ann", Provider.FCM, "token", "", now)
    await store.ledger.record([PlanDone(plan, sends=(NewSend(device, now),)) for plan in plans], [])
    clock.move(86_000)
    await overload.look()
    for priority in ("critical", "high", "normal", "bulk"):
        await api.result("notify", user="cid", title="Tide", priority=priority)
    assert sum(overload.refused_by_lane.values()) == 0
