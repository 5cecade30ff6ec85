"""Decisions about what is told when its user usually opens it (N-30)."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.habits import Habits
from broker.notification import Entry, Outcome, Provider, Route, State, Terms
from config.settings import NotificationSettings
from pushers.policies import Policies
from pushers.router import Rulebook, asks_presence, plan

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
EVENING = datetime(2026, 1, 1, 18, 0, tzinfo=UTC)
HABITS = Habits(own=tuple(9 * (hour == 19) for hour in range(24)))
POLICIES = Policies(NotificationSettings(timezone="Europe/Berlin"))


def decide(step, now=NOW, *, online=False):
    return plan(step, online=online, now=now, rules=Rulebook(frozenset(Provider), POLICIES, False))


def by_habit(step, notification, devices=(), habits=HABITS, **terms):
    more = {"created_at": NOW, "expires_at": NOW + timedelta(days=3)}
    given = notification(**more, terms=Terms(by_habit=True, arrives=True, **terms))
    return step(given, devices=devices, habits=habits)


def after(step, planned, habits=HABITS):
    return msgspec.structs.replace(step, entries=(*step.entries, *planned.done.entries), habits=habits)


def test_it_waits_for_the_hour_and_says_so(step, notification, device):
    held = by_habit(step, notification, (device(),))
    assert not asks_presence(held, now=NOW, policies=POLICIES)
    first = decide(held, online=True)
    assert (first.publish, first.done.arrives, first.done.next_plan_at) == (False, False, EVENING)
    detail = "until 2026-01-01 18:00 UTC, when its user usually opens"
    assert first.done.entries == (Entry("", Outcome.DEFERRED, NOW, detail=detail),)
    second = decide(after(held, first), EVENING, online=True)
    assert (second.publish, second.done.arrives) == (True, True)


def test_what_is_learnt_meanwhile_moves_it_no_more(step, notification, device):
    held = by_habit(step, notification, (device(),))
    moved = after(held, decide(held), Habits(own=tuple(9 * (hour == 23) for hour in range(24))))
    second = decide(moved, EVENING, online=True)
    assert second.publish
    third = decide(after(moved, second, moved.habits), EVENING + timedelta(seconds=5))
    assert [send.device.provider for send in third.done.sends] == [Provider.FCM], "later routes are not put off either"


def test_what_is_told_at_once_is_not_put_off_by_what_is_learnt_between_its_routes(step, notification, device):
    held = by_habit(step, notification, (device(),), Habits())
    first = decide(held, online=True)
    assert first.publish
    second = decide(after(held, first), NOW + timedelta(seconds=5))
    assert second.done.sends


def test_it_is_looked_for_from_send_at_on(step, notification, device):
    send_at = datetime(2026, 1, 1, 19, 30, tzinfo=UTC)
    held = by_habit(step, notification, (device(),), send_at=send_at, latest=send_at + timedelta(days=2))
    assert decide(held, send_at).done.next_plan_at == EVENING + timedelta(days=1)


def test_without_a_habit_a_time_of_day_counts(step, notification, device):
    held = by_habit(step, notification, (device(),), Habits(), send_at_local="15:00")
    assert decide(held).done.next_plan_at == datetime(2026, 1, 1, 14, 0, tzinfo=UTC)


def test_what_would_expire_before_its_hour_expires(step, notification, device):
    held = by_habit(step, notification, (device(),))
    short = msgspec.structs.replace(held.notification, expires_at=NOW + timedelta(hours=1))
    planned = decide(msgspec.structs.replace(held, notification=short))
    assert planned.done.next_plan_at == NOW + timedelta(hours=1)
    late = after(msgspec.structs.replace(held, notification=short), planned)
    assert decide(late, NOW + timedelta(hours=1)).done.finish is State.EXPIRED


# The fixtures are factories, which hold nothing.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9), min_size=24, max_size=24), st.integers(0, 72), st.integers(0, 23))
def test_it_is_put_off_once_and_never_beyond_the_latest_moment(step, notification, device, counts, room_h, later_hour):
    latest = NOW + timedelta(hours=room_h)
    held = by_habit(step, notification, (device(),), Habits(own=tuple(counts)), latest=latest)
    first = decide(held)
    if not first.done.entries or first.done.entries[0].outcome is not Outcome.DEFERRED:
        return
    due_at = first.done.next_plan_at
    assert NOW < due_at <= latest
    learnt = Habits(own=tuple(60 * (hour == later_hour) for hour in range(24)))
    again = decide(after(held, first, learnt), due_at)
    assert again.done.sends
    assert {entry.route for entry in again.done.entries} <= {Route.LIVE, Route.PUSH}
