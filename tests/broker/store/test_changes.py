"""What a record comes to, decided by values alone."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from broker.ledger import NewSend, Passage, PlanDone, SendDone, Step, send_of
from broker.notification import Device, Entry, Outcome, State
from broker.store.changes import Changes, decide
from broker.store.keys import PLAN, StepKey
from broker.store.moments import to_micros
from config.clock import ManualClock

MakeStep = Callable[..., Step]
MakeDevice = Callable[..., Device]
PLAN_KEY = StepKey("n1", PLAN)


def sends_key(device: str) -> StepKey:
    return StepKey("n1", device)


def test_finishing_ends_and_puts_nothing_back(make_step: MakeStep) -> None:
    changes = decide({PLAN_KEY: "lease"}, [PlanDone(make_step(), finish=State.FAILED)], [])
    assert changes.ended == {"n1": State.FAILED}
    assert (changes.put_back, changes.opened, changes.gone) == ([], [], [])


def test_asking_again_later_puts_the_plan_back(make_step: MakeStep, clock: ManualClock) -> None:
    later = clock.now() + timedelta(seconds=3)
    changes = decide({PLAN_KEY: "lease"}, [PlanDone(make_step(attempt=4), next_plan_at=later)], [])
    assert changes == Changes(put_back=[("n1", PLAN, to_micros(later), 0)])


def test_opening_sends_lets_the_plan_rest(make_step: MakeStep, make_device: MakeDevice, clock: ManualClock) -> None:
    sends = (NewSend(make_device("d1"), clock.now()), NewSend(make_device("d2"), clock.now()))
    changes = decide({PLAN_KEY: "lease"}, [PlanDone(make_step(), sends=sends)], [])
    assert changes.put_back == [("n1", PLAN, None, 0)]
    now, expires_at = to_micros(clock.now()), to_micros(clock.now() + timedelta(seconds=600))
    assert changes.opened == [("n1", f"d{number}", 1, now, 0, "fcm", expires_at) for number in (1, 2)]


@pytest.mark.parametrize("leases", [{}, {PLAN_KEY: None}, {PLAN_KEY: "another"}], ids=["gone", "given back", "taken over"])
def test_a_stale_plan_changes_nothing_but_the_timeline(
    leases: dict[StepKey, str | None], make_step: MakeStep, clock: ManualClock
) -> None:
    entry = Entry("live", Outcome.PUBLISHED, clock.now())
    changes = decide(leases, [PlanDone(make_step(), entries=(entry,), finish=State.EXHAUSTED)], [])
    assert len(changes.entries) == 1
    assert (changes.ended, changes.put_back, changes.opened, changes.gone) == ({}, [], [], [])


@pytest.mark.parametrize("more", [{}, {"finish": State.FAILED, "next_plan_at": ManualClock().now()}])
def test_a_decision_is_exactly_one_thing(more: dict[str, object], make_step: MakeStep) -> None:
    with pytest.raises(AssertionError):
        decide({PLAN_KEY: "lease"}, [PlanDone(make_step(), **more)], [])  # type: ignore[arg-type]  # (on purpose)


def test_the_last_send_wakes_the_plan_at_its_own_moment(
    make_step: MakeStep, make_device: MakeDevice, clock: ManualClock
) -> None:
    leases = {PLAN_KEY: None, sends_key("d1"): "lease", sends_key("d2"): "lease"}
    first, last = (make_step(device=make_device(name)) for name in ("d1", "d2"))
    soon, later = clock.now(), clock.now() + timedelta(seconds=9)
    changes = decide(leases, [], [SendDone(first, None, replan_at=soon), SendDone(last, None, replan_at=later)])
    assert changes == Changes(put_back=[("n1", PLAN, to_micros(later), 0)], gone=[sends_key("d1"), sends_key("d2")])


def test_a_send_that_is_still_open_keeps_the_plan_at_rest(
    make_step: MakeStep, make_device: MakeDevice, clock: ManualClock
) -> None:
    leases = {PLAN_KEY: None, sends_key("d1"): "lease", sends_key("d2"): None}
    changes = decide(leases, [], [SendDone(make_step(device=make_device()), None, replan_at=clock.now())])
    assert (changes.put_back, changes.gone) == ([], [sends_key("d1")])


@pytest.mark.parametrize(("counts", "attempt"), [(True, 3), (False, 2)])
def test_a_retry_keeps_or_gives_back_its_attempt(
    counts: bool, attempt: int, make_step: MakeStep, make_device: MakeDevice, clock: ManualClock
) -> None:
    step = make_step(device=make_device(), attempt=3)
    done = SendDone(step, None, replan_at=clock.now(), retry_at=clock.now(), counts=counts)
    changes = decide({PLAN_KEY: None, sends_key("d1"): "lease"}, [], [done])
    assert changes == Changes(put_back=[("n1", "d1", to_micros(clock.now()), attempt)])


def test_one_record_may_hold_many_notifications(make_step: MakeStep, make_device: MakeDevice, clock: ManualClock) -> None:
    leases = {PLAN_KEY: "lease", StepKey("n2", PLAN): None, StepKey("n2", "d2"): "lease"}
    send = SendDone(make_step("n2", make_device("d2")), None, replan_at=clock.now(), drop_device=clock.now())
    changes = decide(leases, [PlanDone(make_step("n1"), finish=State.EXHAUSTED)], [send])
    assert changes.ended == {"n1": State.EXHAUSTED}
    assert changes.put_back == [("n2", PLAN, to_micros(clock.now()), 0)]
    assert changes.dropped == {"d2": (to_micros(clock.now()), "")}


@pytest.fixture
def make_passage(make_step: MakeStep, make_device: MakeDevice, clock: ManualClock) -> Callable[..., Passage]:
    """Make a passage to the devices d1, d2, … that ended with `outcomes`; None for one under way."""

    def make(*outcomes: Outcome | None, then: PlanDone | None = None, lease: str = "lease") -> Passage:
        step, now = make_step(lease=lease, attempt=2), clock.now()
        devices = {make_device(f"d{number}"): outcome for number, outcome in enumerate(outcomes, 1)}
        made = tuple(
            SendDone(
                send_of(step, device),
                Entry("push", outcome, now, device_id=device.id),
                now,
                retry_at=now + timedelta(seconds=1) if outcome is Outcome.RETRY else None,
                drop_device=now if outcome is Outcome.UNREGISTERED else None,
            )
            for device, outcome in devices.items()
            if outcome is not None
        )
        plan = PlanDone(step, (Entry("live", Outcome.OFFLINE, now),), sends=tuple(NewSend(one, now) for one in devices))
        under_way = tuple(send_of(step, device) for device, outcome in devices.items() if outcome is None)
        return Passage(plan, made, under_way, then)

    return make


def test_of_a_passage_only_what_it_leaves_behind_is_written(make_step: MakeStep, make_passage: Callable[..., Passage]) -> None:
    then = PlanDone(make_step(), finish=State.EXHAUSTED)
    changes = decide({PLAN_KEY: "lease"}, [], [], [make_passage(Outcome.ACCEPTED, Outcome.UNREGISTERED, then=then)])
    assert [row[3] for row in changes.entries] == ["offline", "accepted", "unregistered"]
    assert (changes.ended, list(changes.dropped)) == ({"n1": State.EXHAUSTED}, ["d2"])
    assert (changes.put_back, changes.opened, changes.opened_leased, changes.gone) == ([], [], [], [])


def test_a_passage_without_a_next_decision_wakes_the_plan(make_passage: Callable[..., Passage], clock: ManualClock) -> None:
    changes = decide({PLAN_KEY: "lease"}, [], [], [make_passage(Outcome.REFUSED)])
    assert changes.put_back == [("n1", PLAN, to_micros(clock.now()), 0)]
    assert [row[:2] for row in changes.dead] == [("n1", "d1")]


def test_what_is_tried_again_or_under_way_is_opened_and_the_plan_rests(
    make_passage: Callable[..., Passage], clock: ManualClock
) -> None:
    changes = decide({PLAN_KEY: "lease"}, [], [], [make_passage(Outcome.RETRY, None)])
    retry_at, expires_at = (to_micros(clock.now() + timedelta(seconds=seconds)) for seconds in (1, 600))
    assert changes.put_back == [("n1", PLAN, None, 0)]
    assert changes.opened == [("n1", "d1", 1, retry_at, 2, "fcm", expires_at)]
    assert changes.opened_leased == [("n1", "d2", 1, 2, "fcm", expires_at, "lease")]


def test_what_is_under_way_may_end_in_the_same_record(make_passage: Callable[..., Passage], clock: ManualClock) -> None:
    passage = make_passage(None)
    changes = decide({PLAN_KEY: "lease"}, [], [SendDone(passage.under_way[0], None, clock.now())], [passage])
    assert changes.put_back == [("n1", PLAN, to_micros(clock.now()), 0)]
    assert changes.gone == [sends_key("d1")]


def test_of_a_stale_passage_only_the_lines_are_written(make_step: MakeStep, make_passage: Callable[..., Passage]) -> None:
    then = PlanDone(make_step(), finish=State.EXHAUSTED)
    changes = decide({PLAN_KEY: "another"}, [], [], [make_passage(Outcome.UNREGISTERED, then=then)])
    assert changes == Changes(entries=changes.entries)
    assert len(changes.entries) == 2


def test_due_now_is_told_from_due_later(make_step: MakeStep, make_device: MakeDevice, clock: ManualClock) -> None:
    now = to_micros(clock.now())
    assert not Changes(put_back=[("n1", "", None, 0), ("n2", "", now + 1, 0)]).makes_due(now)
    assert Changes(put_back=[("n1", "", now, 0)]).makes_due(now)
    assert Changes(opened=[("n1", "d1", 1, now, 0, "fcm", now)]).makes_due(now)
    assert not Changes(opened=[("n1", "d1", 1, now + 1, 0, "fcm", now)]).makes_due(now)
