"""The decision: a table of cases, and what holds for every one of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.notification import Entry, Lane, Outcome, Preference, Provider, Route, State, Terms
from broker.routing import Quorum, RoutePolicy
from pushers.router import Rulebook, asks_presence, plan
from pushers.router import plan_without_live as without_live

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = frozenset(Provider)
ROUTES = (Route.LIVE, Route.PUSH, Route.EMAIL)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def told(route, outcome, seconds=0.0, device_id="", provider=""):
    return Entry(route, outcome, at(seconds), provider=provider, device_id=device_id)


def decide(step, seconds=0.0, *, online=False, reachable=ALL):
    return plan(step, online=online, now=at(seconds), rules=Rulebook(reachable))


def plan_without_live(step, *, now, reachable):
    return without_live(step, now=now, rules=Rulebook(reachable))


def outcomes(planned):
    return [(entry.route, entry.outcome) for entry in planned.done.entries]


def test_online_publishes_and_waits_for_the_ack(step, device):
    planned = decide(step(devices=(device(),)), online=True)
    assert planned.publish
    assert outcomes(planned) == [("live", "published")]
    assert planned.done.next_plan_at == at(5)


def test_offline_goes_on_to_all_push_devices_at_once(step, device):  # N-4
    devices = (device(Provider.APNS), device(Provider.FCM), device(Provider.WEBPUSH), device(Provider.EMAIL))
    planned = decide(step(devices=devices))
    assert not planned.publish
    assert outcomes(planned) == [("live", "offline")]
    assert [(send.device, send.due_at) for send in planned.done.sends] == [(found, NOW) for found in devices[:3]]


def test_no_wait_for_the_ack_publishes_and_goes_on_in_one_decision(step, device, notification):
    planned = decide(step(notification(ack_wait_s=0.0), devices=(device(),)), online=True)
    assert planned.publish
    assert len(planned.done.sends) == 1


def test_the_ack_is_waited_for_to_its_moment(step, device):  # N-1
    waiting = step(devices=(device(),), entries=(told("live", Outcome.PUBLISHED),))
    assert decide(waiting, 4.9).done.next_plan_at == at(5)
    assert len(decide(waiting, 5).done.sends) == 1


def test_push_is_waited_for_from_the_last_acceptance(step, device):
    entries = (
        told("live", Outcome.OFFLINE),
        told("push", Outcome.ACCEPTED, 1, "a"),
        told("push", Outcome.ACCEPTED, 3, "b"),
        told("push", Outcome.REFUSED, 9, "c"),
    )
    waiting = step(devices=(device(Provider.EMAIL),), entries=entries)
    assert decide(waiting, 10).done.next_plan_at == at(33)
    assert [send.device.provider for send in decide(waiting, 33).done.sends] == [Provider.EMAIL]


def test_a_push_that_nobody_took_is_not_waited_for(step, device):
    entries = (told("live", Outcome.OFFLINE), told("push", Outcome.UNREGISTERED))
    assert len(decide(step(devices=(device(Provider.EMAIL),), entries=entries)).done.sends) == 1


@pytest.mark.parametrize("hidden", ["none", "muted", "unconfigured"])
def test_a_push_with_no_way_ahead_is_exhausted_at_once(step, device, hidden):
    devices = () if hidden == "none" else (device(Provider.EMAIL),)
    preferences = (Preference("*", "email", False),) if hidden == "muted" else ()
    reachable = ALL - {Provider.EMAIL} if hidden == "unconfigured" else ALL
    entries = (told("live", Outcome.OFFLINE), told("push", Outcome.ACCEPTED))
    planned = decide(step(devices=devices, preferences=preferences, entries=entries), reachable=reachable)
    assert planned.done.finish is State.EXHAUSTED


@pytest.mark.parametrize(
    ("routes", "entries", "state"),
    [
        (ROUTES, [("live", Outcome.OFFLINE), ("push", Outcome.ACCEPTED), ("email", Outcome.REFUSED)], State.EXHAUSTED),
        (ROUTES, [("live", Outcome.OFFLINE), ("email", Outcome.ACCEPTED)], State.EXHAUSTED),
        (ROUTES, [("live", Outcome.OFFLINE), ("push", Outcome.GAVE_UP), ("email", Outcome.REFUSED)], State.FAILED),
        (ROUTES, [("live", Outcome.OFFLINE), ("push", Outcome.UNKNOWN), ("email", Outcome.MUTED)], State.FAILED),
        ((Route.PUSH,), [("push", Outcome.EXPIRED)], State.EXPIRED),
        ((Route.PUSH,), [("push", Outcome.EXPIRED), ("push", Outcome.ACCEPTED)], State.EXHAUSTED),
    ],
)
def test_the_end_is_judged_by_what_the_routes_came_to(step, notification, routes, entries, state):
    over = step(notification(routes=routes), entries=tuple(told(*entry) for entry in entries))
    assert decide(over).done.finish is state


def test_a_live_publication_alone_is_exhausted_after_the_wait(step, notification):
    published = step(notification(routes=(Route.LIVE,)), entries=(told("live", Outcome.PUBLISHED),))
    assert decide(published, 1).done.next_plan_at == at(5)
    assert decide(published, 5).done.finish is State.EXHAUSTED


def test_a_muted_route_is_told_and_passed(step, device):
    muted = (Preference("chat", "live", False), Preference("*", "push", False))
    planned = decide(step(devices=(device(), device(Provider.EMAIL)), preferences=muted), online=True)
    assert not planned.publish
    assert outcomes(planned) == [("live", "muted"), ("push", "muted")]
    assert [send.device.provider for send in planned.done.sends] == [Provider.EMAIL]


def test_an_unconfigured_provider_is_told_beside_those_that_are(step, device):
    planned = decide(step(devices=(device(Provider.APNS), device(Provider.FCM))), reachable=frozenset({Provider.FCM}))
    assert [send.device.provider for send in planned.done.sends] == [Provider.FCM]
    [_, line] = planned.done.entries
    assert (line.provider, line.outcome, line.detail) == ("apns", "paused", "apns is not configured")


def test_a_route_with_nobody_is_passed_silently(step, device):
    planned = decide(step(devices=(device(Provider.EMAIL),)))
    assert outcomes(planned) == [("live", "offline")]
    assert len(planned.done.sends) == 1


def test_a_device_that_comes_late_does_not_turn_the_clock_back(step, device):
    entries = (told("live", Outcome.OFFLINE), told("email", Outcome.REFUSED))
    assert decide(step(devices=(device(Provider.FCM),), entries=entries)).done.finish is State.FAILED


def test_what_was_not_tried_in_time_is_expired(step, device, notification):
    late = notification(expires_at=at(3))
    waiting = step(late, devices=(device(),), entries=(told("live", Outcome.PUBLISHED),))
    assert decide(waiting, 1).done.next_plan_at == at(3), "a wait ends when it expires"
    planned = decide(waiting, 3)
    assert planned.done.finish is State.EXPIRED
    assert outcomes(planned) == [("push", "expired")]


def test_expired_before_anything_is_expired_even_without_devices(step, notification):
    planned = decide(step(notification(expires_at=NOW)), online=True)
    assert planned.done.finish is State.EXPIRED
    assert not planned.publish


def test_what_used_every_route_is_exhausted_however_late(step, notification):
    over = step(
        notification(expires_at=at(3)),
        entries=(told("live", Outcome.OFFLINE), told("push", Outcome.REFUSED), told("email", Outcome.ACCEPTED)),
    )
    assert decide(over, 100).done.finish is State.EXHAUSTED


def test_presence_is_asked_only_where_it_matters(step, notification):  # N-2
    assert asks_presence(step(), now=NOW)
    assert not asks_presence(step(notification(routes=(Route.PUSH,))), now=NOW)
    assert not asks_presence(step(entries=(told("live", Outcome.OFFLINE),)), now=NOW)
    assert not asks_presence(step(notification(expires_at=NOW)), now=NOW)
    assert asks_presence(step(entries=(told("live", Outcome.RETRY),)), now=NOW)


def test_an_engine_that_fails_is_tried_again_as_long_as_an_ack_would_take(step, device):
    asked = step(devices=(device(),))
    first = plan_without_live(asked, now=NOW, reachable=ALL)
    assert (first.entries[0].outcome, first.next_plan_at) == (Outcome.RETRY, at(1))
    again = msgspec.structs.replace(asked, entries=first.entries)
    assert plan_without_live(again, now=at(4), reachable=ALL).next_plan_at == at(5)
    last = plan_without_live(again, now=at(4.5), reachable=ALL)
    assert last.entries[0].outcome is Outcome.GAVE_UP
    assert len(last.sends) == 1
    assert last.step is again


def test_an_engine_that_is_back_publishes_after_its_failures(step):
    planned = decide(step(entries=(told("live", Outcome.RETRY),)), 2, online=True)
    assert planned.publish
    assert planned.done.next_plan_at == at(7)


# N-12: while a breaker is open, what must not wait goes on to its next route.

OPEN = frozenset({"fcm"})


def decide_open(step, seconds=0.0, carriers=OPEN):
    return plan(step, online=False, now=at(seconds), rules=Rulebook(ALL, open_carriers=carriers))


@pytest.fixture
def urgent(notification):
    return lambda **more: notification(**{"lane": Lane.CRITICAL, "routes": (Route.PUSH, Route.EMAIL)} | more)


def test_a_critical_one_goes_on_where_a_breaker_is_open(step, device, urgent):  # N-12
    planned = decide_open(step(urgent(), devices=(device(), device(Provider.EMAIL))))
    assert outcomes(planned) == [("push", "skipped")]
    assert [send.device.provider for send in planned.done.sends] == [Provider.EMAIL]


def test_others_wait_for_their_carrier(step, device, urgent):  # N-12
    planned = decide_open(step(urgent(lane=Lane.HIGH), devices=(device(), device(Provider.EMAIL))))
    assert outcomes(planned) == []
    assert [send.device.provider for send in planned.done.sends] == [Provider.FCM]


def test_those_whose_carrier_is_well_are_not_passed_over(step, device, urgent):
    planned = decide_open(step(urgent(), devices=(device(), device(Provider.APNS), device(Provider.EMAIL))))
    assert outcomes(planned) == [("push", "skipped")]
    assert [send.device.provider for send in planned.done.sends] == [Provider.APNS]


def test_the_next_most_recent_has_its_turn_where_a_breaker_is_open(step, device, urgent):
    new, old = device(Provider.FCM, registered_at=at(-1)), device(Provider.APNS, registered_at=at(-9))
    terms = Terms(routing=RoutePolicy(devices=Quorum.MOST_RECENT))
    planned = decide_open(step(urgent(terms=terms), devices=(old, new)))
    assert [send.device.provider for send in planned.done.sends] == [Provider.APNS]


def test_what_has_no_other_way_waits_for_its_carrier(step, device, urgent):
    """Nothing is dropped: those who were passed over have their turn where nobody took it."""
    planned = decide_open(step(urgent(), devices=(device(),)))
    assert [send.device.provider for send in planned.done.sends] == [Provider.FCM]
    refused = told("email", Outcome.REFUSED, 1, "device-email", "email")
    entries = (told("push", Outcome.SKIPPED, 0, "device-fcm", "fcm"), refused)
    waiting = step(urgent(), devices=(device(), device(Provider.EMAIL)), entries=entries)
    assert [send.device.provider for send in decide_open(waiting, 1).done.sends] == [Provider.FCM]
    accepted = step(urgent(), devices=(device(),), entries=(*entries, told("push", Outcome.ACCEPTED, 9, "device-fcm")))
    assert decide_open(accepted, 9).done.finish is State.EXHAUSTED
    late = step(urgent(expires_at=at(5)), devices=(device(),), entries=entries)
    assert decide_open(late, 5).done.finish is State.EXPIRED


def test_who_was_told_by_another_way_is_not_told_again(step, device, urgent):
    entries = (told("push", Outcome.SKIPPED, 0, "device-fcm", "fcm"), told("email", Outcome.ACCEPTED, 1, "device-email"))
    planned = decide_open(step(urgent(), devices=(device(), device(Provider.EMAIL)), entries=entries), 1, frozenset())
    assert (planned.done.finish, planned.done.sends) == (State.EXHAUSTED, ())


def test_a_screen_that_nobody_looked_at_does_not_stand_for_a_push(step, device, urgent):
    entries = (told("live", Outcome.PUBLISHED), told("push", Outcome.SKIPPED, 5, "device-fcm", "fcm"))
    waiting = step(urgent(routes=(Route.LIVE, Route.PUSH)), devices=(device(),), entries=entries)
    assert [send.device.provider for send in decide_open(waiting, 5).done.sends] == [Provider.FCM]


# What holds for every notification: a world that carries out each decision and lets providers answer as they like.

ANSWERS = st.sampled_from(
    [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.GAVE_UP, Outcome.UNREGISTERED, Outcome.UNKNOWN, Outcome.PAUSED]
)
WAITS = st.sampled_from([0.0, 0.5, 5.0, 30.0])


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_every_notification_ends_keeps_its_waits_and_reaches_each_device_once(data):  # N-1
    from_fixture = data.draw(
        st.fixed_dictionaries(
            {
                "routes": st.permutations(ROUTES).flatmap(
                    lambda order: st.integers(1, 3).map(lambda count: tuple(order[:count]))
                ),
                "ack_wait_s": WAITS,
                "push_wait_s": WAITS,
                "expires_at": st.sampled_from([0.0, 3.0, 31.0, 1000.0]).map(at),
            }
        )
    )
    world = World(data, from_fixture)
    for _ in range(12):
        if world.state is not State.PENDING:
            break
        world.turn()
    assert world.state in (State.EXHAUSTED, State.FAILED, State.EXPIRED)
    assert len(world.sent) == len(set(world.sent)), "no device is reached twice"
    assert world.published <= 1
    was_taken = any(entry.outcome in (Outcome.ACCEPTED, Outcome.PUBLISHED) for entry in world.step.entries)
    assert (world.state is State.FAILED) <= (not was_taken)
    assert (world.state is State.EXHAUSTED) <= was_taken
    acked = msgspec.structs.replace(world.step.notification, state=State.ACKNOWLEDGED)
    after_ack = plan(msgspec.structs.replace(world.step, notification=acked), online=True, now=world.now, rules=Rulebook(ALL))
    assert (after_ack.publish, after_ack.done.sends) == (False, ()), "no route after an ack"


class World:
    """One notification, its devices and the time."""

    def __init__(self, data, fields):
        from broker.ledger import Step, StepKind
        from broker.notification import Content, Device, Lane, Notification

        self.data = data
        lane = data.draw(st.sampled_from([Lane.CRITICAL, Lane.NORMAL]))
        notification = Notification("n", "ann", Content(category="chat"), lane, created_at=NOW, **fields)
        names = data.draw(st.lists(st.sampled_from(list(Provider)), max_size=4))
        devices = tuple(Device(f"d{number}", "ann", name, "token", "x", NOW) for number, name in enumerate(names))
        words = data.draw(st.lists(st.tuples(st.sampled_from(ROUTES), st.booleans()), max_size=2))
        preferences = tuple(Preference("*", route, enabled) for route, enabled in words)
        self.reachable = data.draw(st.frozensets(st.sampled_from(list(Provider))))
        self.open_carriers = data.draw(st.frozensets(st.sampled_from([name.value for name in Provider])))
        self.step = Step("s", StepKind.PLAN, "l", 1, notification, devices=devices, preferences=preferences)
        self.now, self.state, self.sent, self.published = NOW, State.PENDING, [], 0

    def turn(self):
        rules = Rulebook(self.reachable, open_carriers=self.open_carriers)
        planned = plan(self.step, online=self.data.draw(st.booleans()), now=self.now, rules=rules)
        done, notification = planned.done, self.step.notification
        assert (done.finish is not None) + bool(done.sends) + (done.next_plan_at is not None) == 1
        self.published += planned.publish
        self.note(done.entries)
        if done.finish is not None:
            self.state = done.finish
        elif done.next_plan_at is not None:
            assert self.now < done.next_plan_at <= notification.expires_at
            early = self.now + (done.next_plan_at - self.now) / 2
            again = plan(self.step, online=True, now=early, rules=rules)
            assert again.done.next_plan_at == done.next_plan_at, "asked too early, it waits for the same moment"
            self.now = done.next_plan_at
        else:
            assert self.now < notification.expires_at
            self.deliver(done.sends)

    def deliver(self, sends):
        for send in sends:
            assert send.device.provider in self.reachable
            self.sent.append(send.device.id)
            self.now += timedelta(seconds=self.data.draw(st.sampled_from([0.0, 1.0, 20.0])))
            is_late = self.now >= self.step.notification.expires_at
            outcome = Outcome.EXPIRED if is_late else self.data.draw(ANSWERS)
            route = send.device.provider.route
            self.note([Entry(route, outcome, self.now, send.device.provider, device_id=send.device.id)])

    def note(self, entries):
        self.step = msgspec.structs.replace(self.step, entries=(*self.step.entries, *entries))


@pytest.mark.parametrize("state", [State.ACKNOWLEDGED, State.CANCELLED])
def test_an_ended_notification_is_never_planned_again(step, device, notification, state):
    planned = decide(step(notification(state=state), devices=(device(),)), online=True)
    assert planned.done.finish is state
    assert not planned.publish
    assert planned.done.sends == ()
