"""Statistics over the API (N-31): what is answered, and what is refused in which words."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.ledger import PlanDone
from broker.notification import Entry, Lane, Outcome, State
from broker.rendering.renderer import Renderer
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.operation_settings import CostSettings
from config.settings import NotificationSettings
from gateway.notify.methods import notification_methods
from gateway.notify.operations import operation_methods
from gateway.notify.service import NotificationService
from gateway.notify.wording import Wording

COSTS = CostSettings(currency="EUR", fcm=0.001, sms=0.075)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(store_file: Path, clock: ManualClock) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    yield store
    await store.close()


@pytest.fixture
def office(world: Any, api: Any, store: Store, clock: ManualClock) -> Any:
    wording = Wording(Renderer(store.templates, clock, default_locale="en"), store.devices)
    service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings(), wording=wording)
    return api(world(), [*notification_methods(service), *operation_methods(store, clock, COSTS)])


@pytest.fixture
def tell(office: Any, store: Store, clock: ManualClock) -> Any:
    """Notify users, and write lines of (route, outcome, provider, device) to their timelines."""

    async def run(*users: str, lines: tuple[tuple[str, Outcome, str, str], ...], **request: Any) -> list[str]:
        answer = await office.result("notify", users=list(users), **({"title": "Tide"} | request))
        steps = await store.ledger.claim("w", dict.fromkeys(Lane, 1000), lease_until=clock.now() + timedelta(seconds=30))
        clock.move(2)
        entries = tuple(Entry(route, outcome, clock.now(), provider, "", device) for route, outcome, provider, device in lines)
        await store.ledger.record([PlanDone(step, entries, State.EXHAUSTED) for step in steps], [])
        return [item["id"] for item in answer["notifications"]]

    return run


PUSHED = (
    ("live", Outcome.OFFLINE, "", ""),
    ("push", Outcome.ACCEPTED, "fcm", "phone"),
    ("push", Outcome.UNREGISTERED, "apns", "pad"),
)


async def test_a_group_tells_the_whole_way(office: Any, store: Store, clock: ManualClock, tell: Any) -> None:
    ids = await tell("ann", "ben", lines=PUSHED, category="orders", priority="high")
    clock.move(8)
    await store.ledger.acknowledge(ids[0], "ann")
    answer = await office.result("notification_statistics", by=["category", "priority"])
    (group,) = answer.pop("groups")
    durations = {name: group.pop(name) for name in ("time_to_sent", "time_to_seen")}
    assert group == {
        "category": "orders",
        "priority": "high",
        "accepted": 2,
        "sent": 2,
        "delivered": 1,
        "opened": 0,
        "seen": 1,
        "read": 0,
        "dismissed": 0,
        "clicked": 0,
        "acknowledged": 1,
        "failed": {"user": 2, "system": 0, "business": 0},
        "outcomes": {"unregistered": 2},
        "states": {"acknowledged": 1, "exhausted": 1},
        "cost": 0.002,
    }
    assert answer["currency"] == "EUR"
    assert durations["time_to_sent"]["count"] == 2
    assert durations["time_to_sent"]["p50_s"] == pytest.approx(2, rel=answer["error"])
    assert durations["time_to_seen"]["p95_s"] == pytest.approx(10, rel=answer["error"])
    assert answer["is_complete"] is True
    assert answer["counted_at"] == clock.now().timestamp()
    assert answer["from"] % 3600 == answer["to"] % 3600 == 0


async def test_messages_cost_what_their_provider_takes_for_them(
    office: Any, world: Any, api: Any, store: Store, tell: Any
) -> None:
    taken = [
        ("sms", Outcome.ACCEPTED, "sms", "a"),
        ("sms", Outcome.ACCEPTED, "sms", "b"),
        ("email", Outcome.ACCEPTED, "email", ""),
    ]
    await tell("ann", "ben", lines=(*PUSHED, *taken))
    groups = (await office.result("notification_statistics", by=["provider"]))["groups"]
    # Mails have no price, APNs took none.
    costs = {one["provider"]: one.get("cost") for one in groups}
    assert costs == {"": None, "apns": None, "fcm": 0.002, "sms": 0.3, "email": None}
    (whole,) = (await office.result("notification_statistics"))["groups"]
    assert whole["cost"] == 0.302
    unpriced = api(world(), operation_methods(store, ManualClock()))
    answer = await unpriced.result("notification_statistics")
    assert "currency" not in answer
    assert [one for one in answer["groups"] if "cost" in one] == []


async def test_providers_stand_within_routes_and_variants_within_experiments(office: Any, tell: Any) -> None:
    wordings = [{"name": "plain", "title": "A"}, {"name": "other", "title": "B", "weight": 0}]
    await tell("ann", lines=PUSHED)
    await tell("ben", lines=PUSHED, experiment="subject", variants=wordings, title="")
    by_provider = (await office.result("notification_statistics", by=["provider"]))["groups"]
    assert [(one["route"], one["provider"], one["sent"]) for one in by_provider] == [
        ("live", "", 0),
        ("push", "apns", 0),
        ("push", "fcm", 2),
    ]
    by_variant = (await office.result("notification_statistics", by=["variant"]))["groups"]
    assert [(one["experiment"], one["variant"], one["accepted"]) for one in by_variant] == [
        ("", "", 1),
        ("subject", "plain", 1),
    ]
    asked = {"by": ["variant"], "experiment": "subject", "route": "push"}
    (one,) = (await office.result("notification_statistics", **asked))["groups"]
    assert ("experiment" in one, one["variant"], one["sent"]) == (False, "plain", 1)


async def test_hours_are_whole_ones(office: Any, clock: ManualClock, tell: Any) -> None:
    start = clock.now()
    await tell("ann", lines=())
    clock.move(3600)
    await tell("ben", lines=())
    hours = (await office.result("notification_statistics", by=["hour"]))["groups"]
    first = int(start.timestamp()) // 3600 * 3600
    assert [(one["hour"], one["accepted"]) for one in hours] == [(first, 1), (first + 3600, 1)]
    answer = await office.result("notification_statistics", **{"from": start.isoformat(), "to": first + 1800})
    assert (answer["from"], answer["to"], answer["groups"][0]["accepted"]) == (first, first + 3600, 1)


async def test_links_that_were_clicked_are_listed(office: Any, store: Store, clock: ManualClock, tell: Any) -> None:
    (id,) = await tell("ann", lines=())
    for link in (2, 0, 2):
        clock.move(1)
        await store.tracking.clicked(id, link, f"https://shop.test/{link}")
    assert (await office.result("notification_clicks", id=id))["items"] == [
        {"link": 0, "target": "https://shop.test/0", "time": clock.now().timestamp() - 1, "clicks": 1},
        {"link": 2, "target": "https://shop.test/2", "time": clock.now().timestamp() - 2, "clicks": 2},
    ]
    assert await office.error("notification_clicks", id="unknown") == (104, "notification not found")


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (
            {"by": ["weather"]},
            "by[0]: must be one of category, priority, experiment, variant, route, provider, hour, day",
        ),
        ({"by": ["route", "route"]}, "by[1]: must not be given twice"),
        ({"route": "pigeon"}, "route: must be one of live, push, email, sms, webhook"),
        ({"provider": ""}, "provider: must be one of apns, fcm, webpush, email, sms, webhook"),
        ({"priority": "urgent"}, "priority: must be one of critical, high, normal, bulk"),
        ({"from": 1767225600, "to": 1767225600}, "from: must lie before `to`, and not in the future"),
        ({"from": 4e9}, "from: must lie before `to`, and not in the future"),
        ({"from": "2019-01-01T00:00:00Z"}, "from: must be at most 400 days before `to`"),
        ({"from": "yesterday"}, "from: must be Unix seconds or RFC 3339 with a zone"),
        ({"hour": 1}, "hour: unknown field"),
    ],
)
async def test_what_cannot_be_counted_is_refused_by_name(office: Any, asked: dict[str, Any], refusal: str) -> None:
    assert await office.error("notification_statistics", **asked) == (107, f"bad request: {refusal}")
