"""Decisions under policies: peace, caps, send times, stages that go together, and which devices have their turn."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.notification import Content, Entry, Lane, Outcome, Preference, Provider, Route, State, Terms, device_of_url
from broker.preferences import UserRules
from broker.quiet_hours import QuietHours
from broker.routing import Quorum, RoutePolicy, StopOn
from config.category_settings import CapSettings, CategorySettings, RoutingSettings
from config.settings import NotificationSettings
from pushers.policies import Policies
from pushers.router import Rulebook, asks_presence, plan, plan_without_live

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 1, 23, 0, tzinfo=UTC)
MORNING = datetime(2026, 1, 2, 6, 0, tzinfo=UTC)
QUIET = UserRules(quiet_hours=QuietHours("22:00", "07:00", "Europe/Berlin"))
LIVE_AND_PUSH = RoutePolicy(((Route.LIVE, Route.PUSH), (Route.EMAIL,)))


@pytest.fixture
def notification(notification):
    """Make one that lives for two days from now, unless told otherwise."""
    return lambda **more: notification(**({"created_at": NOW, "expires_at": NOW + timedelta(days=2)} | more))


def policies(*categories, **more):
    return Policies(NotificationSettings(categories=categories, **more))


def decide(step, now=NOW, *, online=False, is_capped=False, given=None):
    rules = Rulebook(frozenset(Provider), given or policies(), is_capped)
    return plan(step, online=online, now=now, rules=rules)


def outcomes(planned):
    return [(entry.route, entry.outcome) for entry in planned.done.entries]


def after(step, planned, *more):
    return msgspec.structs.replace(step, entries=(*step.entries, *planned.done.entries, *more))


def test_what_disturbs_waits_for_the_end_of_quiet_hours(step, notification, device):
    """N-22: held until the end of the window in the user's zone; live goes on."""
    held = step(notification(created_at=NOW), devices=(device(), device(Provider.EMAIL)), rules=QUIET)
    first = decide(held, online=True)
    assert first.publish
    assert first.done.next_plan_at == NOW + timedelta(seconds=5)
    second = decide(after(held, first), NOW + timedelta(seconds=5))
    assert outcomes(second) == [("push", "deferred")]
    assert second.done.next_plan_at == MORNING
    waiting = after(after(held, first), second)
    assert outcomes(decide(waiting, NOW + timedelta(hours=1))) == [], "it is told once"
    assert len(decide(waiting, MORNING).done.sends) == 1


def test_critical_ones_do_not_wait(step, notification, device):
    """N-19."""
    urgent = step(notification(lane=Lane.CRITICAL, created_at=NOW), devices=(device(),), rules=QUIET)
    assert len(decide(urgent).done.sends) == 1
    told = policies(quiet_hours={"ignored_by": ()})
    assert decide(urgent, given=told).done.next_plan_at == MORNING


def test_what_expires_in_quiet_hours_is_never_sent(step, notification, device):
    """N-8, N-22."""
    short = notification(routes=(Route.PUSH,), created_at=NOW, expires_at=NOW + timedelta(hours=1))
    held = step(short, devices=(device(),), rules=QUIET)
    first = decide(held)
    assert first.done.next_plan_at == short.expires_at
    assert decide(after(held, first), short.expires_at).done.finish is State.EXPIRED


def test_a_snooze_that_ends_in_quiet_hours_goes_on_to_their_end(step, notification, device):
    rules = msgspec.structs.replace(QUIET, snoozed_until=NOW + timedelta(hours=2))
    held = step(notification(routes=(Route.PUSH,), created_at=NOW), devices=(device(),), rules=rules)
    assert decide(held).done.next_plan_at == MORNING


def test_a_mute_ends_by_itself(step, notification, device):
    muted = (Preference("chat", "push", False, NOW + timedelta(hours=1)),)
    held = step(notification(routes=(Route.PUSH,), created_at=NOW), devices=(device(),), preferences=muted)
    assert decide(held).done.finish is State.FAILED
    assert len(decide(held, NOW + timedelta(hours=1)).done.sends) == 1


@pytest.mark.parametrize(
    ("category", "words", "is_sent"),
    [
        ({"required": True}, [("chat", "push", False)], True),
        ({"required": True}, [("*", "*", False)], True),
        ({"off_by_default": ("push",)}, [], False),
        ({"off_by_default": ("*",)}, [("chat", "push", True)], True),
        ({"off_by_default": ("*",)}, [("*", "push", True)], False),
        ({"off_by_default": ("email",)}, [], True),
    ],
)
def test_categories_have_defaults_and_may_be_required(step, notification, device, category, words, is_sent):
    """N-23."""
    said = tuple(Preference(*word) for word in words)
    held = step(notification(routes=(Route.PUSH,), created_at=NOW), devices=(device(),), preferences=said)
    assert bool(decide(held, given=policies(CategorySettings(name="chat", **category))).done.sends) is is_sent


def test_above_the_cap_it_goes_live_and_stays_in_the_inbox(step, notification, device):
    """N-21."""
    given = policies(CategorySettings(name="chat", cap=CapSettings(limit=1)))
    held = step(notification(created_at=NOW, ack_wait_s=0.0), devices=(device(),))
    assert decide(held, given=given).done.counts
    capped = decide(held, online=True, is_capped=True, given=given)
    assert capped.publish
    assert outcomes(capped) == [("live", "published"), ("push", "capped")]
    assert capped.done.finish is State.EXHAUSTED
    assert not capped.done.counts


def test_nothing_is_told_before_its_time(step, notification, device):
    later = notification(created_at=NOW, terms=Terms(send_at=NOW + timedelta(hours=3), arrives=True))
    held = step(later, devices=(device(),))
    assert not asks_presence(held, now=NOW)
    early = decide(held, online=True)
    assert (early.publish, early.done.next_plan_at, early.done.arrives) == (False, NOW + timedelta(hours=3), False)
    assert decide(held, NOW + timedelta(hours=3), online=True).done.arrives


def test_a_local_time_is_that_of_the_newest_device(step, notification, device):
    there = (device(timezone="Asia/Tokyo"), device(Provider.EMAIL), device(Provider.APNS, timezone="Europe/Berlin"))
    held = step(notification(created_at=NOW, terms=Terms(send_at_local="09:00")), devices=there)
    assert decide(held).done.next_plan_at == datetime(2026, 1, 2, 8, 0, tzinfo=UTC)
    moved = msgspec.structs.replace(held, rules=UserRules(timezone="America/New_York"))
    assert decide(moved).done.next_plan_at == datetime(2026, 1, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "created_at", "closes_at"),
    [
        ("Europe/Berlin", datetime(2026, 1, 1, 7, 59, tzinfo=UTC), datetime(2026, 1, 1, 8, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 1, 1, 8, 1, tzinfo=UTC), datetime(2026, 1, 1, 16, 0, tzinfo=UTC)),
        # The clock is put forward in between, and back: the wall decides.
        ("Europe/Berlin", datetime(2026, 3, 28, 17, 0, tzinfo=UTC), datetime(2026, 3, 29, 7, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 24, 17, 0, tzinfo=UTC), datetime(2026, 10, 25, 8, 0, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 12, 0, tzinfo=UTC), datetime(2026, 10, 3, 22, 0, tzinfo=UTC)),
        ("Asia/Tokyo", datetime(2026, 1, 1, 8, 1, tzinfo=UTC), datetime(2026, 1, 2, 0, 0, tzinfo=UTC)),
    ],
)
def test_a_digest_waits_for_a_time_of_day_of_its_user(step, notification, zone, created_at, closes_at):
    """N-26."""
    terms = Terms(collects="{count}", collects_until=("17:00", "09:00"))
    digest = notification(created_at=created_at, expires_at=created_at + timedelta(days=2), terms=terms)
    held = step(digest, rules=UserRules(timezone=zone))
    planned = decide(held, created_at)
    assert (planned.done.next_plan_at, planned.done.closes) == (closes_at, False)
    assert decide(held, closes_at).done.closes


def test_routes_of_a_stage_go_together(step, notification, device):
    together = notification(created_at=NOW, terms=Terms(routing=LIVE_AND_PUSH))
    held = step(together, devices=(device(), device(Provider.EMAIL)))
    planned = decide(held, online=True)
    assert planned.publish
    assert len(planned.done.sends) == 1
    waiting = after(held, planned, Entry("push", Outcome.ACCEPTED, NOW, device_id="device-fcm"))
    assert decide(waiting).done.next_plan_at == NOW + timedelta(seconds=30)


def test_an_engine_that_fails_does_not_hold_back_what_goes_with_live(step, notification, device):
    together = notification(created_at=NOW, terms=Terms(routing=LIVE_AND_PUSH))
    done = plan_without_live(step(together, devices=(device(),)), now=NOW, rules=Rulebook(frozenset(Provider)))
    assert [entry.outcome for entry in done.entries] == [Outcome.GAVE_UP]
    assert len(done.sends) == 1


def test_live_of_a_stage_goes_out_while_the_rest_waits(step, notification, device):
    together = notification(created_at=NOW, terms=Terms(routing=LIVE_AND_PUSH))
    held = step(together, devices=(device(), device(Provider.EMAIL)), rules=QUIET)
    planned = decide(held, online=True)
    assert planned.publish
    assert planned.done.next_plan_at == MORNING
    assert len(decide(after(held, planned), MORNING).done.sends) == 1


def test_accepted_is_enough_where_that_is_said(step, notification, device):
    enough = notification(created_at=NOW, terms=Terms(routing=RoutePolicy(stop_on=StopOn.ACCEPTED)))
    entries = (Entry("live", Outcome.OFFLINE, NOW), Entry("push", Outcome.ACCEPTED, NOW))
    assert decide(step(enough, devices=(device(Provider.EMAIL),), entries=entries)).done.finish is State.EXHAUSTED


def test_the_next_device_has_its_turn_where_the_most_recent_fails(step, notification, device):  # N-4
    policy = RoutePolicy(((Route.PUSH,),), devices=Quorum.MOST_RECENT)
    devices = tuple(
        device(Provider.FCM, id=name, registered_at=NOW + timedelta(seconds=number)) for number, name in enumerate("abc")
    )
    held = step(notification(created_at=NOW, terms=Terms(routing=policy)), devices=devices)
    order = []
    while (planned := decide(held)).done.sends:
        (send,) = planned.done.sends
        order.append(send.device.id)
        held = after(held, planned, Entry("push", Outcome.REFUSED, NOW, device_id=send.device.id))
    assert order == ["c", "b", "a"]
    assert planned.done.finish is State.FAILED


def test_one_device_per_platform(step, notification, device):
    policy = RoutePolicy(((Route.PUSH,),), devices=Quorum.ONE_PER_PLATFORM)
    devices = (
        device(id="a", platform="ios"),
        device(id="b", platform="web"),
        device(id="c", platform="web", registered_at=NOW),
    )
    held = step(notification(created_at=NOW, terms=Terms(routing=policy)), devices=devices)
    assert [send.device.id for send in decide(held).done.sends] == ["a", "c"]


def test_who_says_a_thing_first_decides_it(step, notification, device):
    """The notification's word comes before the user's, that before the category's, and that before the default."""
    given = policies(CategorySettings(name="chat", routing=RoutingSettings(routes=("sms",), stop_on="accepted")))
    held = step(notification(created_at=NOW, terms=Terms(routing=RoutePolicy())))
    assert given.routing(held).stages == ((Route.SMS,),)
    by_user = msgspec.structs.replace(held, rules=UserRules(routing=RoutePolicy(((Route.EMAIL,),))))
    assert given.routing(by_user).stages == ((Route.EMAIL,),)
    assert given.routing(by_user).stop_on is StopOn.ACCEPTED
    own = step(notification(terms=Terms(routing=RoutePolicy(((Route.PUSH,),)))), rules=by_user.rules)
    assert given.routing(own).stages == ((Route.PUSH,),)
    content = msgspec.structs.replace(held.notification.content, category="x")
    other = step(notification(content=content, terms=Terms(routing=RoutePolicy())))
    assert given.routing(other).stages == ((Route.LIVE,), (Route.PUSH,), (Route.EMAIL,))


def test_an_escalation_says_where_it_comes_from_once(step, notification):
    held = step(notification(created_at=NOW, terms=Terms(escalates="n-0")))
    first = decide(held, online=True)
    assert first.done.tells is not None
    assert first.done.tells[0] == "n-0"
    assert decide(after(held, first), NOW + timedelta(seconds=5)).done.tells is None


STAGES = st.permutations((Route.LIVE, Route.PUSH, Route.EMAIL)).flatmap(
    lambda order: st.sampled_from(
        [tuple((route,) for route in order), (tuple(order[:2]), (order[2],)), ((order[0],), tuple(order[1:])), (tuple(order),)]
    )
)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_whatever_the_policy_it_ends_and_keeps_the_peace(data):
    """Always terminal, waits respected, no device twice, and quiet hours never violated except by critical ones."""
    from broker.ledger import Step, StepKind
    from broker.notification import Content, Device, Notification

    lane = data.draw(st.sampled_from([Lane.CRITICAL, Lane.NORMAL]))
    policy = RoutePolicy(
        data.draw(STAGES), {}, data.draw(st.sampled_from([None, *StopOn])), data.draw(st.sampled_from([None, *Quorum]))
    )
    names = data.draw(st.lists(st.sampled_from([Provider.FCM, Provider.APNS, Provider.EMAIL]), max_size=4))
    devices = tuple(
        Device(f"d{number}", "ann", name, "token", data.draw(st.sampled_from("ab")), NOW + timedelta(seconds=number))
        for number, name in enumerate(names)
    )
    expires_at = NOW + data.draw(st.sampled_from([timedelta(hours=1), timedelta(days=2)]))
    terms = Terms(routing=policy, send_at=data.draw(st.sampled_from([None, NOW + timedelta(minutes=1)])))
    notification = Notification(
        "n", "ann", Content(category="chat"), lane, policy.routes, 5.0, 30.0, NOW, expires_at, terms=terms
    )
    step, now, sent = Step("s", StepKind.PLAN, "l", 1, notification, devices=devices, rules=QUIET), NOW, []
    for _ in range(20):
        planned = decide(step, now, online=data.draw(st.booleans()), is_capped=data.draw(st.booleans()))
        done = planned.done
        assert (done.finish is not None) + bool(done.sends) + (done.next_plan_at is not None) == 1
        if planned.publish or done.sends:
            assert now >= (terms.send_at or NOW)
        answers = []
        for send in done.sends:
            assert lane is Lane.CRITICAL or QUIET.quiet_hours.until(now, BERLIN) is None
            sent.append(send.device.id)
            outcome = data.draw(st.sampled_from([Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNREGISTERED]))
            answers.append(Entry(send.device.provider.route, outcome, now, device_id=send.device.id))
        step = after(step, planned, *answers)
        if done.finish is not None:
            break
        if done.next_plan_at is not None:
            assert now < done.next_plan_at <= expires_at
            now = done.next_plan_at
    assert done.finish in (State.EXHAUSTED, State.FAILED, State.EXPIRED)
    assert len(sent) == len(set(sent))


def test_an_escalation_to_an_address_heeds_no_preference(step, notification):
    """Whoever is on call is no user whose preferences count."""
    called = notification(
        lane=Lane.CRITICAL, terms=Terms(RoutePolicy(((Route.WEBHOOK,),)), to_url="https://pager.example.org/")
    )
    held = step(called, devices=(device_of_url(called),), preferences=(Preference("*", "*", False),), rules=QUIET)
    (send,) = decide(held).done.sends
    assert send.device.token == "https://pager.example.org/"


def test_a_user_s_word_says_which_priorities_pass(step, notification, device):
    """N-22: per-priority overrides."""
    hours = QuietHours("22:00", "07:00", "Europe/Berlin", ignored_by=("high",))
    for lane, passes in ((Lane.HIGH, True), (Lane.NORMAL, False), (Lane.CRITICAL, False)):
        held = step(notification(lane=lane), devices=(device(),), rules=UserRules(quiet_hours=hours))
        assert bool(decide(held).done.sends) is passes
    urgent = step(notification(lane=Lane.CRITICAL), devices=(device(),), rules=UserRules(hours, NOW + timedelta(hours=1)))
    assert decide(urgent).done.next_plan_at == MORNING, "a snooze is left to the settings"


def test_what_is_dropped_in_quiet_hours_is_not_held(step, notification, device):
    """N-22: or downgraded to live only."""
    dropping = policies(quiet_hours={"dropped": ("bulk",)})
    held = step(notification(lane=Lane.BULK), devices=(device(), device(Provider.EMAIL)), rules=QUIET)
    planned = decide(held, online=True, given=dropping)
    assert planned.publish
    ended = decide(after(held, planned), NOW + timedelta(seconds=5), given=dropping)
    assert outcomes(ended) == [("push", "muted"), ("email", "muted")]
    assert (ended.done.finish, ended.done.entries[0].detail[:11]) == (State.EXHAUSTED, "left out in")
    assert decide(step(notification(), devices=(device(),), rules=QUIET), given=dropping).done.next_plan_at == MORNING
    snoozing = UserRules(snoozed_until=MORNING)
    assert decide(
        step(notification(lane=Lane.BULK), devices=(device(),), rules=snoozing), given=dropping
    ).done.next_plan_at == (MORNING)


def test_the_end_of_quiet_hours_is_staggered(step, notification, device):
    """N-22: jitter, so that not all leave at once; one user's leave together."""
    staggered = policies(quiet_hours={"jitter": "10m"})

    def resumes(user, **more):
        held = step(notification(user=user, routes=(Route.PUSH,), **more), devices=(device(user=user),), rules=QUIET)
        return decide(held, given=staggered).done.next_plan_at

    moments = {user: resumes(user) for user in (f"user-{number}" for number in range(200))}
    assert all(MORNING <= moment < MORNING + timedelta(minutes=10) for moment in moments.values())
    for minute in range(10):
        within = [at for at in moments.values() if timedelta(minutes=minute) <= at - MORNING < timedelta(minutes=minute + 1)]
        assert 5 <= len(within) <= 40
    assert resumes("user-7", id="another") == moments["user-7"]
    soon = MORNING + timedelta(seconds=8)
    assert all(resumes(user, expires_at=soon) <= MORNING + timedelta(seconds=4) for user in moments), (
        "what expires does not wait"
    )


@pytest.mark.parametrize(
    ("category", "said", "routes"),
    [
        ("orders", None, ["email"]),
        ("chat", None, ["sms"]),
        ("orders", RoutePolicy(((Route.PUSH,),)), ["push"]),
    ],
)
def test_a_user_s_word_on_a_category_goes_before_their_word_on_all(step, notification, category, said, routes):
    """Below the notification's own, above the category's."""
    settings = policies(CategorySettings(name="orders", routing=RoutingSettings(routes=("live",), waits={"live": 9.0})))
    rules = UserRules(routing=RoutePolicy(((Route.SMS,),)), routing_by_category={"orders": RoutePolicy(((Route.EMAIL,),))})
    asked = notification(terms=Terms(routing=said or RoutePolicy()), content=Content(title="x", category=category))
    policy = settings.routing(step(asked, rules=rules))
    assert list(policy.routes) == routes
    assert (policy.waits == {Route.LIVE: 9.0}) is (category == "orders"), "what nobody says is left to the next"
