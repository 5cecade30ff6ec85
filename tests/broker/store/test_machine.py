"""The ledger agrees with a plain model of notifications and steps, whatever the order of what happens to them."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from broker.devices import Registration
from broker.ledger import NewSend, Passage, PlanDone, SendDone, Step, StepKind, send_of
from broker.notification import ROUTES, Content, Device, Draft, Entry, Lane, Outcome, Provider, State
from broker.store.store import Store, open_store
from config.clock import ManualClock

USERS = ("ann", "bob")
LEASE_S = 30.0


@dataclass
class ModelStep:
    """A step as it ought to stand: when it may be claimed (None: it rests), and who holds it."""

    due_at: datetime | None
    attempt: int = 0
    lease: str | None = None
    worker: str | None = None
    device: str = ""

    def put_back(self, due_at: datetime | None, attempt: int) -> None:
        self.due_at, self.attempt, self.lease, self.worker = due_at, attempt, None, None


@dataclass
class ModelNotification:
    user: str
    lane: Lane
    state: State = State.PENDING
    lines: int = 0
    plan: ModelStep | None = None
    sends: dict[str, ModelStep] = field(default_factory=dict)

    def end(self, state: State) -> None:
        self.state, self.plan, self.sends = state, None, {}

    def step_of(self, step: Step) -> ModelStep | None:
        """The step that a claim gave out, if its lease still holds."""
        found = self.plan if step.kind is StepKind.PLAN else self.sends.get(step.id.partition("/")[2])
        return found if found is not None and found.lease == step.lease else None

    def steps(self) -> list[ModelStep]:
        return [*([self.plan] if self.plan else []), *self.sends.values()]


class LedgerMachine(RuleBasedStateMachine):
    empty_store: Path
    notifications: Bundle[str] = Bundle("notifications")
    claimed: Bundle[Step] = Bundle("claimed")
    plans = claimed.filter(lambda step: step.kind is StepKind.PLAN)
    sends = claimed.filter(lambda step: step.kind is StepKind.SEND)

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        shutil.copy(self.empty_store, Path(self.folder.name) / "h.db")
        self.store = self.open()
        self.model: dict[str, ModelNotification] = {}
        self.devices: dict[str, list[Device]] = {user: [] for user in USERS}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def open(self) -> Store:
        store: Store = self.run(open_store(f"sqlite:///{Path(self.folder.name) / 'h.db'}", clock=self.clock))
        return store

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    @initialize()
    def register(self) -> None:
        for number in range(3):
            user = USERS[number % 2]
            registration = Registration(user, Provider.FCM, f"token-{number}", "android")
            self.devices[user].append(self.run(self.store.devices.register(registration)))
            self.clock.move(0.001)

    @rule(target=notifications, users=st.lists(st.sampled_from(USERS), min_size=1, max_size=3), lane=st.sampled_from(Lane))
    def accept(self, users: list[str], lane: Lane) -> Any:
        draft = Draft(tuple(users), Content("Tide"), lane, ROUTES, 1, 1, 60)
        accepted = self.run(self.store.ledger.accept(draft))
        for one in accepted:
            self.model[one.id] = ModelNotification(one.user, lane, plan=ModelStep(self.clock.now()))
        return multiple(*(one.id for one in accepted))

    @rule(seconds=st.sampled_from([0.0, 0.5, LEASE_S / 2, LEASE_S]))
    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(target=claimed, worker=st.sampled_from(["w1", "w2"]), quota=st.integers(1, 4))
    def claim(self, worker: str, quota: int) -> Any:
        until = self.clock.now() + timedelta(seconds=LEASE_S)
        due = {lane: self.due(lane) for lane in Lane}
        steps = self.run(self.store.ledger.claim(worker, dict.fromkeys(Lane, quota), lease_until=until))
        assert [step.notification.lane for step in steps] == sorted(step.notification.lane for step in steps)
        for lane in Lane:
            moments = [self.take(step, worker, until) for step in steps if step.notification.lane is lane]
            assert moments == due[lane][:quota]
        return multiple(*steps)

    def due(self, lane: Lane) -> list[datetime]:
        """The moments at which steps of a lane fell due, longest due first."""
        now = self.clock.now()
        steps = [step for one in self.model.values() if one.lane is lane for step in one.steps()]
        return sorted(step.due_at for step in steps if step.due_at is not None and step.due_at <= now)

    def take(self, step: Step, worker: str, until: datetime) -> datetime:
        """Hold a claimed step in the model; tell when it had fallen due."""
        one = self.model[step.notification.id]
        assert (step.notification.user, step.notification.state) == (one.user, State.PENDING)
        held = one.plan if step.kind is StepKind.PLAN else one.sends[step.id.partition("/")[2]]
        assert held is not None
        assert held.due_at is not None
        assert step.attempt == held.attempt + 1
        due_at = held.due_at
        held.due_at, held.attempt, held.lease, held.worker = until, step.attempt, step.lease, worker
        if step.kind is StepKind.PLAN:
            assert list(step.devices) == self.devices[one.user]
            assert len(step.entries) == one.lines
        else:
            assert step.device is not None
            assert step.device.id == held.device
        return due_at

    @rule(step=plans, state=st.sampled_from([State.EXHAUSTED, State.FAILED, State.EXPIRED]))
    def finish(self, step: Step, state: State) -> None:
        self.record(PlanDone(step, (self.line(),), finish=state))
        one = self.model[step.notification.id]
        one.lines += 1
        if one.step_of(step) is not None:
            one.end(state)

    @rule(step=plans, wait_s=st.sampled_from([0.0, 5.0]))
    def ask_again(self, step: Step, wait_s: float) -> None:
        later = self.clock.now() + timedelta(seconds=wait_s)
        self.record(PlanDone(step, next_plan_at=later))
        if (held := self.model[step.notification.id].step_of(step)) is not None:
            held.put_back(later, 0)

    @rule(step=plans, wait_s=st.sampled_from([0.0, 5.0]))
    def open_sends(self, step: Step, wait_s: float) -> None:
        one = self.model[step.notification.id]
        due_at = self.clock.now() + timedelta(seconds=wait_s)
        devices = self.devices[one.user]
        self.record(PlanDone(step, sends=tuple(NewSend(device, due_at) for device in devices)))
        if (held := one.step_of(step)) is not None:
            held.put_back(None, 0)
            one.sends = {device.id: ModelStep(due_at, device=device.id) for device in devices}

    @rule(
        target=claimed,
        step=plans,
        ends=st.lists(st.sampled_from(["made", "again", "under way"]), min_size=2, max_size=2),
        goes_on=st.booleans(),
    )
    def pass_through(self, step: Step, ends: list[str], goes_on: bool) -> Any:
        """Deliveries that were begun under the plan's lease: some are through, some are to be tried again, some take longer."""
        one, now = self.model[step.notification.id], self.clock.now()
        begun = dict(zip(self.devices[one.user], ends, strict=False))
        later = now + timedelta(seconds=5)
        under_way = tuple(send_of(step, device) for device, end in begun.items() if end == "under way")
        made = tuple(
            SendDone(send_of(step, device), self.line(), now, retry_at=later if end == "again" else None)
            for device, end in begun.items()
            if end != "under way"
        )
        then = PlanDone(step, (self.line(),), finish=State.EXHAUSTED) if goes_on and set(begun.values()) == {"made"} else None
        plan = PlanDone(step, (self.line(),), sends=tuple(NewSend(device, now) for device in begun))
        held = one.step_of(step)
        until, worker = (held.due_at, held.worker) if held is not None else (None, None)
        self.run(self.store.ledger.record([], [], [Passage(plan, made, under_way, then)]))
        one.lines += 1 + len(made) + (then is not None)
        if held is None:
            return multiple()
        for device, end in begun.items():
            if end == "again":
                one.sends[device.id] = ModelStep(later, step.attempt, device=device.id)
            elif end == "under way":
                one.sends[device.id] = ModelStep(until, step.attempt, step.lease, worker, device.id)
        if then is not None:
            one.end(State.EXHAUSTED)
        else:
            held.put_back(None if one.sends else now, 0)
        return multiple(*under_way)

    @rule(step=sends, wait_s=st.sampled_from([0.0, 5.0]), counts=st.booleans())
    def retry(self, step: Step, wait_s: float, counts: bool) -> None:
        retry_at = self.clock.now() + timedelta(seconds=wait_s)
        self.record(SendDone(step, self.line() if counts else None, self.clock.now(), retry_at, counts))
        one = self.model[step.notification.id]
        one.lines += counts
        if (held := one.step_of(step)) is not None:
            held.put_back(retry_at, step.attempt - (not counts))

    @rule(step=sends, wait_s=st.sampled_from([0.0, 5.0]))
    def end_send(self, step: Step, wait_s: float) -> None:
        replan_at = self.clock.now() + timedelta(seconds=wait_s)
        self.record(SendDone(step, self.line(), replan_at))
        one = self.model[step.notification.id]
        one.lines += 1
        if (held := one.step_of(step)) is not None:
            del one.sends[held.device]
            if not one.sends and one.plan is not None:
                one.plan.put_back(replan_at, 0)

    def line(self) -> Entry:
        return Entry("push", Outcome.ACCEPTED, self.clock.now())

    def record(self, done: PlanDone | SendDone) -> None:
        plans, sends = ([done], []) if isinstance(done, PlanDone) else ([], [done])
        self.run(self.store.ledger.record(plans, sends))

    @rule(notification_id=notifications)
    def acknowledge(self, notification_id: str) -> None:
        one = self.model[notification_id]
        if one.state.accepts_ack:
            one.end(State.ACKNOWLEDGED)
            one.lines += 1
        assert self.run(self.store.ledger.acknowledge(notification_id, one.user)) is one.state

    @rule(notification_id=notifications)
    def cancel(self, notification_id: str) -> None:
        one = self.model[notification_id]
        if one.state is State.PENDING:
            one.end(State.CANCELLED)
            one.lines += 1
        assert self.run(self.store.ledger.cancel(notification_id)) is one.state

    @rule(step=claimed)
    def renew(self, step: Step) -> None:
        until = self.clock.now() + timedelta(seconds=2 * LEASE_S)
        self.run(self.store.ledger.renew([step], lease_until=until))
        if (held := self.model[step.notification.id].step_of(step)) is not None:
            held.due_at = until

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def release(self, worker: str) -> None:
        self.run(self.store.ledger.release(worker))
        for held in self.held():
            if held.worker == worker:
                held.put_back(self.clock.now(), held.attempt - 1)

    @rule()
    def crash_and_restart(self) -> None:
        """Nothing is given back on the way out; the next to open finds itself alone."""
        self.run(self.store.close())
        self.store = self.open()
        for held in self.held():
            held.put_back(self.clock.now(), held.attempt)

    def held(self) -> list[ModelStep]:
        return [step for one in self.model.values() for step in one.steps() if step.lease is not None]

    @invariant()
    def what_is_due_next_agrees(self) -> None:
        dues = [step.due_at for one in self.model.values() for step in one.steps() if step.due_at is not None]
        assert self.run(self.store.ledger.next_due()) == min(dues, default=None)

    @invariant()
    def a_pending_notification_is_never_forgotten(self) -> None:
        for one in self.model.values():
            assert (one.state is State.PENDING) == any(step.due_at is not None for step in one.steps())

    @rule(notification_id=notifications)
    def status_agrees(self, notification_id: str) -> None:
        status = self.run(self.store.ledger.status(notification_id))
        one = self.model[notification_id]
        assert (status.notification.state, len(status.entries)) == (one.state, one.lines)


@pytest.fixture(scope="module", autouse=True)
def _tables(empty_store: Path) -> None:
    LedgerMachine.empty_store = empty_store


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
