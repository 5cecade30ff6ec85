"""Statistics on every database (N-31): what is counted by the hour and what is counted when asked come to what one would count
by hand, whatever happens in between."""

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from broker.confirmations import Mark
from broker.errors import BadInput, NotFound
from broker.histograms import ERROR, quantile_s
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Content, Draft, Entry, Lane, NotificationStatus, Outcome, State, Terms, Variant
from broker.outcome_classes import CLASSES, OutcomeClass
from broker.statistics import Dimension, Group, StatisticsAnswer, StatisticsQuery
from broker.store.statistics import SqlStatistics
from broker.store.statistics_table import COUNTED_HOURS, STATISTICS_HOURS
from broker.store.store import Store
from broker.tallies import MARKS, message_count
from config.clock import ManualClock

HOUR = 3600.0
DAY = 24 * HOUR
MONTH = 30 * DAY
VARIANTS = (Variant("blue", 1.0, title="Blue"), Variant("red", 1.0, title="Red"))
D = Dimension


@pytest.fixture
def statistics(store: Store) -> SqlStatistics:
    assert isinstance(store.statistics, SqlStatistics)
    return store.statistics


@pytest.fixture
def ask(statistics: SqlStatistics, clock: ManualClock) -> Callable[..., Awaitable[StatisticsAnswer]]:
    """Ask about the last days."""

    async def read(*by: Dimension, days: float = 40, **filters: str) -> StatisticsAnswer:
        now = clock.now()
        wanted = {Dimension(name): value for name, value in filters.items()}
        return await statistics.read(StatisticsQuery(now - timedelta(days=days), now + timedelta(seconds=1), by, wanted))

    return read


@pytest.fixture
def count_all(statistics: SqlStatistics) -> Callable[..., Awaitable[int]]:
    """Count every hour that is due; tells how many were."""

    async def count(rows_kept_s: float = MONTH, kept_s: float = 0) -> int:
        hours = 0
        while await statistics.count_next(rows_kept_s=rows_kept_s, kept_s=kept_s):
            hours += 1
        return hours

    return count


@pytest.fixture
def tell(store: Store, pipeline: Any, make_draft: Callable[..., Draft]) -> Callable[..., Awaitable[list[str]]]:
    """Notify users, and write lines into their timelines; tells the ids."""

    async def run(
        *users: str, lines: Sequence[tuple[Any, ...]] = (), finish: State | None = State.EXHAUSTED, **changes: Any
    ) -> list[str]:
        draft = msgspec.structs.replace(make_draft(*users), **changes)
        ids = [one.id for one in await store.ledger.accept(draft)]
        for step in await pipeline.claim():
            if step.notification.id in ids:
                entries = tuple(_entry(pipeline, *line) for line in lines)
                later = None if finish else pipeline.after(1e6)
                await store.ledger.record([PlanDone(step, entries, finish, next_plan_at=later)], [])
        return ids

    return run


def _entry(pipeline: Any, after_s: float, route: str, outcome: Outcome, device: str = "") -> Entry:
    provider = {"push": "fcm", "email": "email"}.get(route, "") if device else ""
    return Entry(route, outcome, pipeline.after(after_s), provider, "", device)


def numbers(answer: StatisticsAnswer) -> dict[tuple[str | int, ...], dict[str, int]]:
    return {group.key: group.tally.counts for group in answer.groups}


async def test_what_came_of_notifications_is_counted_by_route_and_as_a_whole(
    store: Store, clock: ManualClock, ask: Any, tell: Any
) -> None:
    pushed = (2, "push", Outcome.ACCEPTED, "phone")
    lines = [(0, "live", Outcome.OFFLINE), (1, "push", Outcome.RETRY, "phone"), pushed, (3, "push", Outcome.REFUSED, "pad")]
    ann, _ = await tell("ann", "ben", lines=lines)
    (cid,) = await tell("cid", lines=[(1, "email", Outcome.MUTED)], finish=State.FAILED)
    clock.move(12)
    await store.ledger.acknowledge(ann, "ann", Mark.CLICKED)
    await store.ledger.acknowledge(cid, "cid")  # by the inbox, before any route told it

    answer = await ask()
    assert answer.is_complete
    assert answer.counted_at == clock.now()
    assert numbers(answer) == {
        (): {
            "accepted": 3,
            "sent": 2,
            "delivered": 2,
            "seen": 2,
            "read": 1,
            "clicked": 1,
            "state:acknowledged": 2,
            "state:exhausted": 1,
            "message:fcm": 2,
            "outcome:refused": 2,
            "outcome:muted": 1,
        }
    }
    assert answer.groups[0].tally.to_seen.keys() and quantile_s(answer.groups[0].tally.to_seen, 0.5) == pytest.approx(12, ERROR)
    by_route = numbers(await ask(D.ROUTE))
    assert by_route["email",] == {"accepted": 1, "state:acknowledged": 1, "outcome:muted": 1}
    assert by_route["live",] == {"accepted": 2, "state:acknowledged": 1, "state:exhausted": 1}
    assert by_route["push",]["clicked"] == by_route["push",]["seen"] == 1
    assert by_route["push",]["sent"] == 2
    assert by_route["push",]["outcome:refused"] == 2
    assert numbers(await ask(D.ROUTE, D.PROVIDER, route="push")) == {("push", "fcm"): by_route["push",]}
    assert numbers(await ask(provider="email")) == {}
    assert numbers(await ask(category="unknown")) == {}


async def test_every_message_that_a_provider_took_is_counted(ask: Any, tell: Any, clock: ManualClock, count_all: Any) -> None:
    took, refused = Outcome.ACCEPTED, Outcome.REFUSED
    devices = [(1, "push", took, "phone"), (2, "push", took, "pad"), (3, "push", refused, "watch")]
    await tell("ann", lines=[(0, "live", Outcome.PUBLISHED), *devices, (4, "email", took, "mail")])
    for _ in range(2):  # when it is asked for, and from the hour that was counted
        whole = numbers(await ask())[()]
        assert (whole["sent"], whole["message:fcm"], whole["message:email"]) == (1, 2, 1)
        by_provider = numbers(await ask(D.ROUTE, D.PROVIDER))
        messages = {key: [name for name in counts if name.startswith("message:")] for key, counts in by_provider.items()}
        assert messages == {("live", ""): [], ("push", "fcm"): ["message:fcm"], ("email", "email"): ["message:email"]}
        assert by_provider["push", "fcm"]["message:fcm"] == numbers(await ask(D.ROUTE))["push",]["message:fcm"] == 2
        clock.move(10 * DAY)
        assert await count_all() in (0, 1)


async def test_a_provider_that_waits_has_not_failed_and_one_that_is_gone_has(
    store: Store, pipeline: Any, ask: Any, make_draft: Any
) -> None:
    phone = await pipeline.register()
    await store.ledger.accept(make_draft("ann"))
    plan = await pipeline.claim_one(StepKind.PLAN)
    await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(phone, pipeline.after(0)),))], [])
    send = await pipeline.claim_one(StepKind.SEND)
    paused = Entry("push", Outcome.PAUSED, pipeline.after(0), "fcm", "", phone.id)
    await pipeline.ledger.record([], [SendDone(send, paused, pipeline.after(0), retry_at=pipeline.after(0), counts=False)])
    assert "outcome:paused" not in numbers(await ask())[()]
    send = await pipeline.claim_one(StepKind.SEND)
    await pipeline.ledger.record([], [SendDone(send, paused, pipeline.after(0))])
    assert numbers(await ask())[()]["outcome:paused"] == 1


async def test_variants_agree_with_the_results_of_their_experiment(
    store: Store, pipeline: Any, ask: Any, tell: Any, count_all: Any, clock: ManualClock
) -> None:
    users = [f"user-{number}" for number in range(40)]
    compared = {"experiment": "colours", "variants": VARIANTS}
    ids = await tell(*users[:30], lines=[(1, "live", Outcome.PUBLISHED)], **compared)
    await tell(*users[30:], lines=[(1, "live", Outcome.OFFLINE)], **compared)
    await tell("somebody", lines=[(1, "live", Outcome.PUBLISHED)])
    for user, id in list(zip(users, ids, strict=False))[::3]:
        await store.ledger.acknowledge(id, user)
    results = await store.experiments.results("colours")
    for wait_s in (0, 3 * HOUR):
        clock.move(wait_s)
        await count_all()
        found = numbers(await ask(D.VARIANT, experiment="colours"))
        assert len(found) == 2
        for one in results:
            counts = found[one.variant,]
            assert (counts["accepted"], counts["sent"], counts["state:acknowledged"]) == (
                one.total,
                one.sent,
                one.acknowledged,
            )


async def test_counted_hours_outlive_notifications_and_name_nobody(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any
) -> None:
    ann, _ = await tell("ann-the-user", "ben", lines=[(1, "live", Outcome.PUBLISHED)])
    before = numbers(await ask(D.CATEGORY, D.PRIORITY))
    assert before == {("water", "normal"): {"accepted": 2, "sent": 2, "state:exhausted": 2}}
    for _ in range(35):
        clock.move(DAY)
        await count_all()
        await store.retention.sweep(before=clock.now() - timedelta(seconds=MONTH), limit=100)
    with pytest.raises(NotFound):
        await store.ledger.status(ann)
    assert numbers(await ask(D.CATEGORY, D.PRIORITY, days=80)) == before
    await store.erasure.erase("ben")
    assert await count_all() == 0
    assert numbers(await ask(D.CATEGORY, D.PRIORITY, days=80)) == before
    counted = await store.statistics._database.read(_everything)  # type: ignore[attr-defined]  # (what is written, as it is)
    assert "accepted" in counted
    assert "ann-the-user" not in counted


def _everything(connection: Connection) -> str:
    rows = [*connection.execute(select(STATISTICS_HOURS)), *connection.execute(select(COUNTED_HOURS))]
    return repr([tuple(row) for row in rows])


async def test_what_is_erased_leaves_an_hour_that_is_counted_again(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any
) -> None:
    await tell("ann", "ben", lines=[(1, "live", Outcome.PUBLISHED)])
    clock.move(1.5 * HOUR)
    assert await count_all() == 1
    await store.erasure.erase("ben")
    clock.move(DAY)
    assert await count_all() == 1
    assert numbers(await ask())[()]["accepted"] == 1


async def test_late_marks_are_counted_in_the_hour_of_acceptance(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any, statistics: SqlStatistics
) -> None:
    statistics._most_recounted = 0  # as where there are too many to look again
    (id,) = await tell("ann", lines=[(1, "live", Outcome.PUBLISHED)])
    accepted_at = int(clock.now().timestamp()) // 3600 * 3600
    clock.move(2 * HOUR)
    assert await count_all() == 1
    counted_at = clock.now()
    clock.move(600)
    await store.ledger.acknowledge(id, "ann")
    answer = await ask(D.HOUR)
    assert "seen" not in numbers(answer)[accepted_at,]
    assert answer.counted_at == counted_at, "it says until when it is certain"
    clock.move(6 * HOUR)
    assert await count_all() == 1
    assert numbers(await ask(D.HOUR))[accepted_at,]["seen"] == 1
    assert numbers(await ask(D.DAY))[accepted_at // 86400 * 86400,]["seen"] == 1


async def test_young_hours_are_looked_at_again_where_they_are_few(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any
) -> None:
    (id,) = await tell("ann", lines=[(1, "live", Outcome.PUBLISHED)])
    clock.move(1.5 * HOUR)
    assert await count_all() == 1
    await store.ledger.acknowledge(id, "ann")
    answer = await ask()
    assert numbers(answer)[()]["seen"] == 1
    assert answer.counted_at == clock.now()


async def test_hours_are_counted_more_and_more_seldom_and_last_before_they_go(
    store: Store, clock: ManualClock, tell: Any, count_all: Any
) -> None:
    await tell("ann", lines=[(1, "live", Outcome.PUBLISHED)])
    began_at = clock.now()
    ages = []
    for _ in range(40 * 24):
        clock.move(HOUR)
        if await count_all():
            ages.append((clock.now() - began_at) / timedelta(hours=1))
    assert len(ages) == 5
    assert ages == sorted(ages)
    assert ages[0] <= 2
    assert 30 * 24 - 3 <= ages[-1] < 30 * 24


async def test_what_may_be_gone_is_not_counted_again(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any
) -> None:
    await tell("ann", "ben", lines=[(1, "live", Outcome.PUBLISHED)])
    clock.move(2 * HOUR)
    await count_all(rows_kept_s=2 * DAY)
    clock.move(3 * DAY)  # nobody was there to count
    await store.retention.sweep(before=clock.now() - timedelta(days=2), limit=100)
    await count_all(rows_kept_s=2 * DAY)
    assert numbers(await ask())[()] == {"accepted": 2, "sent": 2, "state:exhausted": 2}
    assert await count_all(rows_kept_s=2 * DAY) == 0


async def test_it_is_told_what_retention_has_to_wait_for(store: Store, clock: ManualClock, tell: Any, count_all: Any) -> None:
    assert await store.statistics.uncounted_since() == clock.now()
    await tell("ann")
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    assert await store.statistics.uncounted_since() == hour
    clock.move(5 * HOUR)
    assert await store.statistics.uncounted_since() == hour
    await count_all()
    assert await store.statistics.uncounted_since() == hour + timedelta(hours=1)


async def test_two_processes_count_each_hour_once(
    open_another: Any, clock: ManualClock, tell: Any, store: Store, together: Any
) -> None:
    for _ in range(4):
        await tell("ann", lines=[(1, "live", Outcome.PUBLISHED)])
        clock.move(HOUR)
    clock.move(HOUR)
    other = await open_another()
    calls = [one.statistics.count_next(rows_kept_s=MONTH, kept_s=0) for one in (store, other, store, other)]
    assert set(await together(*calls)) <= {True}
    while await store.statistics.count_next(rows_kept_s=MONTH, kept_s=0):
        pass
    now = clock.now()
    answer = await other.statistics.read(StatisticsQuery(now - timedelta(days=1), now, (D.HOUR,)))
    assert [group.tally.counts["accepted"] for group in answer.groups] == [1, 1, 1, 1]


async def test_counted_hours_are_forgotten_in_their_turn(
    store: Store, clock: ManualClock, ask: Any, tell: Any, count_all: Any
) -> None:
    await tell("ann")
    clock.move(3 * HOUR)
    await count_all()
    assert not await store.statistics.forget(before=clock.now() - timedelta(days=1))
    assert await store.statistics.forget(before=clock.now() - timedelta(hours=1))
    assert not await store.statistics.forget(before=clock.now() - timedelta(hours=1))
    clock.move(DAY)
    assert await count_all(kept_s=DAY) == 0, "what is too old to be kept is not counted anew"


async def test_an_answer_is_bounded_and_says_so(
    store: Store, clock: ManualClock, ask: Any, tell: Any, statistics: SqlStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics._page, statistics._most_uncounted, statistics._most_recounted = 5, 10, 0
    await tell(*(f"user-{number}" for number in range(23)))
    answer = await ask()
    assert not answer.is_complete
    assert numbers(answer)[()]["accepted"] == 10
    monkeypatch.setattr("broker.store.statistics_reading.MAX_GROUPS", 1)
    await tell("ann", content=Content("t", category="other"))
    statistics._most_uncounted = 100
    with pytest.raises(BadInput, match="more than 1 groups"):
        await ask(D.CATEGORY)


# What may happen, drawn by number: (hours later, what, which).
_HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.4, 1.0, 3.0, 30.0]),
        st.sampled_from(["notify", "notify", "mark", "mark", "count", "erase"]),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=14,
)


class TestRandomHistories:
    """Counted hours and what is counted when asked, against counting every notification's status by hand."""

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(history=_HAPPENINGS)
    async def test_it_all_adds_up(
        self, history: list[tuple[float, str, int]], store: Store, clock: ManualClock, tell: Any, count_all: Any, ask: Any
    ) -> None:
        clock.move(41 * DAY)  # behind what was before
        ids: dict[str, str] = {}
        for later_h, what, number in history:
            clock.move(later_h * HOUR)
            chance = random.Random(number)
            user = f"user-{number % 5}"
            if what == "notify":
                ids.update(dict.fromkeys(await tell(user, **_some(chance)), user))
            elif what == "mark" and ids:
                id = chance.choice(sorted(ids))
                mark = chance.choice([Mark.SEEN, Mark.READ, Mark.CLICKED, Mark.DISMISSED, Mark.OPENED])
                await store.inbox.mark(ids[id], [id], mark)
            elif what == "count":
                await count_all()
            elif what == "erase" and number % 4 == 0:
                await store.erasure.erase(user)
                ids = {id: owner for id, owner in ids.items() if owner != user}
        await count_all()
        alive = [await store.ledger.status(id) for id in ids]
        for by in ((), (D.CATEGORY, D.HOUR), (D.ROUTE,), (D.ROUTE, D.PROVIDER), (D.PRIORITY, D.VARIANT, D.DAY)):
            answer = await ask(*by)
            assert numbers(answer) == _by_hand(alive, by)
            _check_times(answer.groups, alive, by)


def _some(chance: random.Random) -> dict[str, Any]:
    routes = ["live", "push", "email"]
    outcomes = [outcome for outcome in Outcome if outcome is not Outcome.PAUSED]
    lines = sorted(
        (round(chance.uniform(0, 900), 3), chance.choice(routes), chance.choice(outcomes), chance.choice(["", "a", "b"]))
        for _ in range(chance.randrange(5))
    )
    some: dict[str, Any] = {
        "lines": lines,
        "finish": chance.choice([State.EXHAUSTED, State.FAILED, None]),
        "content": Content("t", category=chance.choice(["water", "wind", ""])),
        "lane": chance.choice(list(Lane)),
        "ttl_s": MONTH,
    }
    if chance.random() < 0.4:
        some |= {"experiment": "colours", "variants": VARIANTS}
    if chance.random() < 0.2:
        some["terms"] = Terms(send_at_local="09:00")
    return some


def _members(status: NotificationStatus, by: Sequence[Dimension]) -> set[tuple[str, str]]:
    """The places that a notification counts at: routes, or providers of routes."""
    told = {(entry.route, entry.provider) for entry in status.entries if entry.route}
    if D.PROVIDER in by:
        return told
    return {(route, "*") for route, _ in told} if D.ROUTE in by else {("*", "*")}


def _key(status: NotificationStatus, by: Sequence[Dimension], place: tuple[str, str]) -> tuple[str | int, ...]:
    notification = status.notification
    hour = int(notification.created_at.timestamp()) // 3600 * 3600
    values: dict[Dimension, str | int] = {
        D.CATEGORY: notification.content.category,
        D.PRIORITY: notification.lane.name.lower(),
        D.VARIANT: notification.variant,
        D.ROUTE: place[0],
        D.PROVIDER: place[1],
        D.HOUR: hour,
        D.DAY: hour // 86400 * 86400,
    }
    return tuple(values[dimension] for dimension in by)


def _lines_at(status: NotificationStatus, place: tuple[str, str]) -> list[Entry]:
    return [
        entry
        for entry in status.entries
        if entry.route and place[0] in ("*", entry.route) and place[1] in ("*", entry.provider)
    ]


def _marks_at(status: NotificationStatus, place: tuple[str, str]) -> dict[Mark, datetime]:
    marks: dict[Mark, datetime] = {marked.mark: marked.at for marked in status.marks if marked.mark in MARKS}
    if place[0] == "*":
        return marks
    told = [entry.at for entry in _lines_at(status, place) if CLASSES[entry.outcome] is OutcomeClass.TOLD]
    if place[0] != "email":
        marks.pop(Mark.OPENED, None)
    return {mark: at for mark, at in marks.items() if told and min(told) <= at}


def _by_hand(alive: Sequence[NotificationStatus], by: Sequence[Dimension]) -> dict[tuple[str | int, ...], dict[str, int]]:
    found: dict[tuple[str | int, ...], Counter[str]] = defaultdict(Counter)
    for status in alive:
        for place in _members(status, by):
            counts = found[_key(status, by, place)]
            lines, marks = _lines_at(status, place), _marks_at(status, place)
            counts["accepted"] += 1
            counts[f"state:{status.notification.state.value}"] += 1
            counts["sent"] += any(CLASSES[entry.outcome] is OutcomeClass.TOLD for entry in lines)
            counts["delivered"] += bool(marks)
            for mark in marks:
                counts[mark.value] += 1
            counts.update(message_count(one.provider) for one in lines if one.outcome is Outcome.ACCEPTED and one.provider)
            # Of a delivery the last line of its route counts, whoever wrote it.
            ends = {(entry.route, entry.device_id): entry for entry in status.entries if entry.route}
            for entry in ends.values():
                is_failure = CLASSES[entry.outcome] in (OutcomeClass.USER, OutcomeClass.SYSTEM, OutcomeClass.BUSINESS)
                if entry in lines and is_failure:
                    counts[f"outcome:{entry.outcome.value}"] += 1
    return {key: {name: count for name, count in counts.items() if count} for key, counts in found.items()}


def _check_times(groups: Sequence[Group], alive: Sequence[NotificationStatus], by: Sequence[Dimension]) -> None:
    for group in groups:
        times = []
        for status in alive:
            if status.notification.terms.send_at_local:
                continue
            for place in _members(status, by):
                seen = _marks_at(status, place).get(Mark.SEEN)
                if seen is not None and _key(status, by, place) == group.key:
                    times.append(max(0.001, (seen - status.notification.created_at).total_seconds()))
        assert sum(group.tally.to_seen.values()) == len(times)
        for share in (0.5, 0.95):
            if times:
                exact = sorted(times)[max(1, -int(-share * len(times) // 1)) - 1]
                assert quantile_s(group.tally.to_seen, share) == pytest.approx(exact, rel=ERROR + 1e-9)
