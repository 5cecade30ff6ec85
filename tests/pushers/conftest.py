"""A pipeline on scripted providers: a fake of the ledger's port, the memory engine, and a clock that the test moves."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from broker.channels import ChannelRules
from broker.engines.memory.engine import MemoryEngine
from broker.errors import StoreUnavailable
from broker.ledger import Ask, Passage, PlanDone, SendDone, Step, StepKind
from broker.model import Publication
from broker.notification import (
    Content,
    Device,
    Entry,
    Lane,
    Notification,
    Outcome,
    Preference,
    Provider,
    Route,
    State,
)
from config.clock import ManualClock, settle
from config.settings import ChannelSettings, NotificationSettings, PersonalChannelSettings, ProviderLimits
from pushers import outcome as outcomes
from pushers.pipeline import Pipeline

START = datetime(2026, 1, 1, tzinfo=UTC)
# Ends a test that would hang; no test depends on its length.
GUARD_S = 30
TOKENS = {
    Provider.APNS: "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    Provider.FCM: "fcm-token-0123456789",
    Provider.WEBPUSH: '{"endpoint":"https://updates.push.services.mozilla.com/wpush/v2/secret","keys":{}}',
    Provider.EMAIL: "ann@example.org",
    Provider.SMS: "+4915112345678",
    Provider.WEBHOOK: "https://hooks.example.org/T1/secret",
}


def make_device(provider: Provider = Provider.FCM, id: str = "", user: str = "ann", **more: Any) -> Device:
    fields = {"token": TOKENS[provider], "platform": "x", "registered_at": START - timedelta(days=1)} | more
    return Device(id or f"device-{provider}", user, provider, **fields)


def make_notification(**more: Any) -> Notification:
    fields = {
        "id": "0199-1",
        "user": "ann",
        "content": Content(title="Hello", category="chat"),
        "lane": Lane.NORMAL,
        "routes": (Route.LIVE, Route.PUSH, Route.EMAIL),
        "ack_wait_s": 5.0,
        "push_wait_s": 30.0,
        "created_at": START,
        "expires_at": START + timedelta(days=1),
    }
    return Notification(**(fields | more))


def make_step(notification: Notification | None = None, kind: StepKind = StepKind.PLAN, **more: Any) -> Step:
    fields = {"id": "step-1", "lease": "lease-1", "attempt": 1} | more
    return Step(kind=kind, notification=notification or make_notification(), **fields)


@pytest.fixture(scope="session")
def now() -> datetime:
    return START


@pytest.fixture(scope="session", name="make_notification")
def notification_factory() -> Callable[..., Notification]:
    """Notifications to a provider's payload: what is named goes into the content, `data` as JSON."""

    def make(*, lane: Lane = Lane.NORMAL, ttl_s: float = 3600, data: Any = None, **content: Any) -> Notification:
        raw = msgspec.Raw() if data is None else msgspec.Raw(msgspec.json.encode(data))
        return make_notification(
            id="019b76da-a800-7000-8000-00000000000a",
            user="42",
            content=Content(data=raw, **content),
            lane=lane,
            routes=(Route.PUSH,),
            expires_at=START + timedelta(seconds=ttl_s),
        )

    return make


@pytest.fixture(scope="session", name="make_device")
def device_factory() -> Callable[..., Device]:
    def make(provider: Provider, token: str, device_id: str = "device-1") -> Device:
        return Device(device_id, "42", provider, token, "any", START)

    return make


@dataclass
class Row:
    """A step as the fake ledger keeps it; a resting plan has no due time."""

    id: str
    kind: StepKind
    notification_id: str
    due_at: datetime | None
    device_id: str = ""
    provider: str = ""
    attempt: int = 0
    lease: str = ""
    lease_until: datetime | None = None
    worker: str = ""


class FakeLedger:
    """The port Ledger in memory, by the letter of its docstrings; `is_away` makes it unavailable."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.is_away = False
        self.notifications: dict[str, Notification] = {}
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        self.devices: dict[str, Device] = {}
        self.preferences: list[Preference] = []
        self.left_alone: set[str] = set()
        self.rows: dict[str, Row] = {}
        self.claims: list[list[Step]] = []
        self.records: list[tuple[Sequence[PlanDone], Sequence[SendDone]]] = []
        self.on_record: Callable[[], None] = lambda: None
        self._ids = itertools.count(1)
        self._wake: Callable[[], None] = lambda: None
        self._asks: Callable[[], Ask | None] = lambda: None
        self._take: Callable[[Sequence[Step]], bool] = lambda steps: False
        self._ended: set[str] = set()

    def add(self, **more: Any) -> Notification:
        """Accept a notification, due now."""
        number = next(self._ids)
        now = self.clock.now()
        ttl = more.pop("ttl_s", 86400.0)
        fields = {"id": f"n-{number}", "created_at": now, "expires_at": now + timedelta(seconds=ttl)} | more
        notification = make_notification(**fields)
        self.notifications[notification.id] = notification
        self._put(Row(f"plan-{number}", StepKind.PLAN, notification.id, now))
        if notification.lane is Lane.CRITICAL and (ask := self._asks()) is not None:
            # As a transaction stores it: what it came to is told later than it was asked for.
            steps = self._claim(ask.worker, {Lane.CRITICAL: ask.quota}, ask.lease_until, only=f"plan-{number}")
            asyncio.get_running_loop().call_soon(self._tell, steps)
        else:
            self._wake()
        return notification

    def _tell(self, steps: Sequence[Step]) -> None:
        if not self._take(steps):
            for step in steps:
                row = self.rows[step.id]
                row.lease, row.lease_until, row.worker = "", None, ""
            self._wake()

    def register(self, *devices: Device) -> None:
        self.devices |= {device.id: device for device in devices}

    async def acknowledge(self, notification_id: str, user: str) -> State:
        self._end(notification_id, State.ACKNOWLEDGED, Entry("live", Outcome.ACKNOWLEDGED, self.clock.now()))
        return State.ACKNOWLEDGED

    async def claim(
        self,
        worker: str,
        quotas: Mapping[Lane, int],
        *,
        lease_until: datetime,
        paused: frozenset[Provider] = frozenset(),
    ) -> Sequence[Step]:
        await self._answer()
        return self._claim(worker, quotas, lease_until, paused)

    def _claim(
        self,
        worker: str,
        quotas: Mapping[Lane, int],
        lease_until: datetime,
        paused: frozenset[str] = frozenset(),
        only: str = "",
    ) -> Sequence[Step]:
        now = self.clock.now()
        left = dict(quotas)
        steps = []
        for row in sorted(self.rows.values(), key=self._order):
            notification = self.notifications[row.notification_id]
            if row.due_at is None or row.due_at > now or (row.lease_until and row.lease_until > now):
                continue
            if only and row.id != only:
                continue
            if left.get(notification.lane, 0) <= 0 or (row.provider in paused and now < notification.expires_at):
                continue
            left[notification.lane] -= 1
            row.attempt += 1
            row.lease, row.lease_until, row.worker = f"lease-{next(self._ids)}", lease_until, worker
            steps.append(self._step(row, notification))
        if steps:
            self.claims.append(steps)
        return steps

    async def renew(self, steps: Sequence[Step], *, lease_until: datetime) -> None:
        await self._answer()
        for step in steps:
            if (row := self.rows.get(step.id)) and row.lease == step.lease:
                row.lease_until = lease_until

    async def record(self, plans: Sequence[PlanDone], sends: Sequence[SendDone], passages: Sequence[Passage] = ()) -> None:
        await self._answer()
        self.on_record()
        self.records.append((plans, sends))
        before = self._claimable()
        for passage in passages:
            self._record_passage(passage)
        for plan in plans:
            self._record_plan(plan)
        for send in sends:
            self._record_send(send)
        if self._claimable() - before:
            self._wake()

    async def release(self, worker: str) -> None:
        await self._answer()
        for row in self.rows.values():
            if row.worker == worker:
                row.lease, row.lease_until, row.worker = "", None, ""

    async def next_due(
        self, *, paused: frozenset[Provider] = frozenset(), lanes: Collection[Lane] = tuple(Lane)
    ) -> datetime | None:
        await self._answer()
        rows = [
            row
            for row in self.rows.values()
            if row.due_at and row.provider not in paused and self.notifications[row.notification_id].lane in lanes
        ]
        return min((row.lease_until or row.due_at for row in rows), default=None)

    def on_work(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_critical(self, asks: Callable[[], Ask | None], take: Callable[[Sequence[Step]], bool]) -> None:
        self._asks, self._take = asks, take

    def is_ended(self, notification_id: str) -> bool:
        return notification_id in self._ended

    def outcomes(self, notification_id: str) -> list[tuple[str, str]]:
        """The timeline as (route or provider, outcome)."""
        return [(entry.provider or entry.route, entry.outcome) for entry in self.entries[notification_id]]

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("the store did not answer")

    def _claimable(self) -> set[str]:
        now = self.clock.now()
        return {row.id for row in self.rows.values() if row.due_at and row.due_at <= now and not row.lease}

    def _put(self, row: Row) -> None:
        self.rows[row.id] = row

    def _order(self, row: Row) -> tuple[int, datetime]:
        return self.notifications[row.notification_id].lane, row.due_at or datetime.max.replace(tzinfo=UTC)

    def _step(self, row: Row, notification: Notification) -> Step:
        common = (row.id, row.kind, row.lease, row.attempt, notification)
        if row.kind is StepKind.SEND:
            suppressed = "bounce" if row.device_id in self.left_alone else ""
            return Step(*common, device=self.devices.get(row.device_id), suppressed=suppressed)
        devices = tuple(device for device in self.devices.values() if device.user == notification.user)
        entries = tuple(self.entries[notification.id])
        left_alone = frozenset(self.left_alone)
        return Step(*common, devices=devices, preferences=tuple(self.preferences), entries=entries, left_alone=left_alone)

    def _holds(self, step: Step) -> bool:
        row = self.rows.get(step.id)
        return row is not None and row.lease == step.lease

    def _record_plan(self, plan: PlanDone) -> None:
        assert (plan.finish is not None) + bool(plan.sends) + (plan.next_plan_at is not None) == 1
        id_ = plan.step.notification.id
        self.entries[id_] += plan.entries
        if not self._holds(plan.step):
            return
        row = self.rows[plan.step.id]
        row.lease, row.lease_until, row.attempt, row.due_at = "", None, 0, plan.next_plan_at
        for send in plan.sends:
            name = f"{id_}/{send.device.id}"
            self._put(Row(name, StepKind.SEND, id_, send.due_at, send.device.id, send.device.carrier))
        if plan.finish is not None:
            self._end(id_, plan.finish)

    def _record_passage(self, passage: Passage) -> None:
        """As if steps had been opened, claimed and recorded one after the other, but under the plan's lease all the time."""
        step = passage.plan.step
        plan = self.rows.get(step.id)
        holder = (plan.lease, plan.lease_until, plan.worker) if plan and plan.lease == step.lease else None
        self._record_plan(passage.plan)
        for send in (*(done.step for done in passage.made), *passage.under_way):
            if holder and (row := self.rows.get(send.id)):
                row.lease, row.lease_until, row.worker = send.lease, *holder[1:]
                row.attempt = send.attempt
        for done in passage.made:
            self._record_send(done)
        if passage.then is not None:
            if plan and holder:
                plan.lease, plan.lease_until, plan.worker = holder
            self._record_plan(passage.then)

    def _record_send(self, send: SendDone) -> None:
        id_ = send.step.notification.id
        if send.entry is not None:
            self.entries[id_].append(send.entry)
        if send.drop_device and send.step.device and send.step.device.registered_at <= send.drop_device:
            self.devices.pop(send.step.device.id, None)
        if not self._holds(send.step):
            return
        row = self.rows[send.step.id]
        row.lease, row.lease_until = "", None
        if send.retry_at is not None:
            row.due_at = send.retry_at
            row.attempt -= not send.counts
            return
        del self.rows[row.id]
        rest = [other for other in self.rows.values() if other.notification_id == id_]
        if all(other.kind is StepKind.PLAN for other in rest):
            for plan in rest:
                plan.due_at = send.replan_at

    def _end(self, id_: str, state: State, *entries: Entry) -> None:
        self.notifications[id_] = msgspec.structs.replace(self.notifications[id_], state=state)
        self.entries[id_] += entries
        self.rows = {key: row for key, row in self.rows.items() if row.notification_id != id_}
        self._ended.add(id_)


class ScriptedProvider:
    """A provider that answers as told: outcomes in order, then `Accepted`; `hang` keeps it from answering."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        self.name = name
        self.clock = clock
        self.script: list[outcomes.SendOutcome | Exception] = []
        self.default: outcomes.SendOutcome = outcomes.Accepted("p-1")
        self.calls: list[tuple[datetime, str, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._free = asyncio.Event()
        self._free.set()

    def hang(self) -> None:
        self._free.clear()

    def answer(self) -> None:
        self._free.set()

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> outcomes.SendOutcome:
        self.calls.append((now, notification.id, device.id))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._free.wait()
        finally:
            self._at_once -= 1
        answer = self.script.pop(0) if self.script else self.default
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


@dataclass
class Rig:
    """A running pipeline and everything around it."""

    clock: ManualClock
    ledger: FakeLedger
    engine: MemoryEngine
    providers: dict[str, ScriptedProvider]
    settings: NotificationSettings = field(default_factory=NotificationSettings)
    limits: dict[str, ProviderLimits] = field(default_factory=dict)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pipelines: list[tuple[Pipeline, asyncio.Task[None]]] = field(default_factory=list)

    def make(self, worker_id: str = "w-1", **more: Any) -> Pipeline:
        fields: dict[str, Any] = {
            "ledger": self.ledger,
            "pubsub": self.engine.pubsub,
            "user_presence": self.engine.users,
            "limits": self.engine.limits,
            "rules": ChannelRules(ChannelSettings(), PersonalChannelSettings(enabled=True)),
            "providers": list(self.providers.values()),
            "provider_limits": self.limits,
            "settings": self.settings,
            "clock": self.clock,
            "worker_id": worker_id,
        }
        return Pipeline(**(fields | more))

    async def start(self, worker_id: str = "w-1", **more: Any) -> Pipeline:
        pipeline = self.make(worker_id, **more)
        self.pipelines.append((pipeline, asyncio.create_task(pipeline.run())))
        await pipeline.started.wait()
        await self.quiet()
        return pipeline

    async def kill(self) -> None:
        """End all pipelines as a crash would: nothing is recorded or released."""
        for _, task in self.pipelines:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.pipelines), return_exceptions=True)
        self.pipelines.clear()

    async def quiet(self) -> None:
        """Let everything that is ready run."""
        await settle(200)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.quiet()

    async def connect(self, user: str = "ann") -> None:
        await self.engine.users.connected(user, f"client-of-{user}")
        await self.engine.pubsub.subscribe(f"#{user}")

    def add_app(self, name: str) -> ScriptedProvider:
        """Add a carrier beside the providers' own, such as "fcm:kiosk"."""
        self.providers[name] = ScriptedProvider(name, self.clock)
        return self.providers[name]

    def state(self, notification: Notification) -> State:
        return self.ledger.notifications[notification.id].state

    def outcomes(self, notification: Notification) -> list[tuple[str, str]]:
        return self.ledger.outcomes(notification.id)

    def calls(self, provider: str) -> list[float]:
        """When a provider was called, in seconds since the start."""
        return [(at - START).total_seconds() for at, _, _ in self.providers[provider].calls]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def rig(clock: ManualClock) -> AsyncIterator[Rig]:
    engine = MemoryEngine(clock)
    made = Rig(clock, FakeLedger(clock), engine, {name: ScriptedProvider(name, clock) for name in Provider})

    def deliver(channel: str, message: object) -> None:
        assert isinstance(message, Publication)
        made.published.append((channel, msgspec.json.decode(message.data)["notification"]))

    engine.pubsub.on_message(deliver)
    await engine.start()
    async with asyncio.timeout(GUARD_S):
        yield made
        await made.kill()
    await engine.close()


@pytest.fixture
def device() -> Callable[..., Device]:
    """Make a device; its provider, id and user may be named."""
    return make_device


@pytest.fixture
def notification() -> Callable[..., Notification]:
    """Make a notification of the user ann."""
    return make_notification


@pytest.fixture
def step() -> Callable[..., Step]:
    """Make a claimed step, a plan unless told otherwise."""
    return make_step
