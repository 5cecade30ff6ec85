"""Port: notifications and the steps still to be done for them, as durable rows.

The essay of the pipeline's queue. A pending notification has exactly one *plan* step: the moment when someone has to decide
what comes next. Deciding may add *send* steps, one per device; while any of those is open the plan step rests, and the
transaction that records the last of them wakes it. So at every moment either a step is due, or it is known what will make one
due, and a process that dies leaves rows, never knowledge.

A worker owns a step by a *lease*: `claim` gives it out until `lease_until`; whoever claims it after that takes it over with
`attempt` raised. Everything recorded names the lease, and a stale one changes nothing but the timeline. The claim is the moment
when a send begins: an acknowledgement that commits before it removes the step, so that no send begins after an ack.

Most deliveries take a moment. So a worker may begin those that a decision asks for at once under the lease of the plan, without
opening steps for them, and write down in one stroke what they came to and what is decided next: a *passage*. Nothing is less
durable by it: until then the plan is leased, and whoever takes it over decides anew, and sends again with the same handle. What
takes longer than a moment is opened after all, as steps that are leased already.

What is critical need not even wait to be claimed. A worker of the process that accepts it may say what it would claim; then
storing and claiming are one transaction, and the lease is handed over as soon as that is committed (`on_critical`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from broker.confirmations import Mark
from broker.habits import NO_HABITS, Habits
from broker.notification import (
    Accepted,
    Device,
    Draft,
    Entry,
    Lane,
    Notification,
    NotificationStatus,
    Preference,
    State,
)
from broker.preferences import UserRules

__all__ = ["Ask", "Ledger", "NewSend", "Notifications", "Passage", "PlanDone", "SendDone", "Step", "StepKind", "send_of"]


class StepKind(StrEnum):
    """What a step asks for: a decision, or one delivery to one device."""

    PLAN = "plan"
    SEND = "send"


class Step(msgspec.Struct, frozen=True):
    """A claimed step with all that is needed to do it, so that doing it reads nothing more.

    `attempt` counts from 1, for a plan anew with each decision that was recorded. A plan step brings the user's devices (oldest
    first), preferences and the timeline so far; a send step brings its device, or None if that was removed meanwhile or has
    moved to another user. Both bring the rules of their user. `suppressed` tells why a send's address is to be left alone;
    `left_alone` has the ids of those of a plan's devices whose addresses are. `habits` are read for a plan whose terms ask for
    them.
    """

    id: str
    kind: StepKind
    lease: str
    attempt: int
    notification: Notification
    device: Device | None = None
    devices: tuple[Device, ...] = ()
    preferences: tuple[Preference, ...] = ()
    entries: tuple[Entry, ...] = ()
    rules: UserRules = UserRules()
    suppressed: str = ""
    left_alone: frozenset[str] = frozenset()
    habits: Habits = NO_HABITS


class Ask(msgspec.Struct, frozen=True):
    """What a worker of this process would claim of critical plans that are about to be stored: at most `quota`."""

    worker: str
    quota: int
    lease_until: datetime


class NewSend(msgspec.Struct, frozen=True):
    """A delivery to be made."""

    device: Device
    due_at: datetime


class PlanDone(msgspec.Struct, frozen=True):
    """What a decision came to: lines for the timeline, and exactly one of `finish`, `sends` or `next_plan_at`.

    `finish` ends the notification; `sends` opens deliveries and lets the plan rest; `next_plan_at` asks again then.

    Attributes:
        arrives: It enters its user's inbox.
        closes: It is a digest and takes in no more: whatever it has collected ends as digested, and its texts are made. Where
            nothing is left to tell it is cancelled instead.
        counts: It counts against the user's cap for its category, once however often it is said.
        tells: A line for the timeline of another notification.
    """

    step: Step
    entries: tuple[Entry, ...] = ()
    finish: State | None = None
    sends: tuple[NewSend, ...] = ()
    next_plan_at: datetime | None = None
    arrives: bool = False
    closes: bool = False
    counts: bool = False
    tells: tuple[str, Entry] | None = None


class SendDone(msgspec.Struct, frozen=True):
    """How a delivery ended.

    With `retry_at` the step stays and is due then (`counts` False gives the attempt back: it was put off, not tried, and an
    `entry` of None writes no line). Otherwise the step is gone, and if it was the notification's last one the plan is due at
    `replan_at`. `drop_device` removes the device unless it was registered again after that moment.
    """

    step: Step
    entry: Entry | None
    replan_at: datetime
    retry_at: datetime | None = None
    counts: bool = True
    drop_device: datetime | None = None


class Passage(msgspec.Struct, frozen=True):
    """A decision with the deliveries that were begun under its lease, and what was decided after them.

    Attributes:
        plan: The decision. Each of its `sends` is either made or under way, and it does not count against a cap.
        made: How deliveries ended whose steps (`send_of`) were never opened. One that is to be tried again is opened now.
        under_way: The steps of the others: they are opened as they are, leased, and recorded by themselves.
        then: The next decision, under the same lease, which takes the place of the plan's falling due; only where every send
            is made and none is to be tried again.
    """

    plan: PlanDone
    made: tuple[SendDone, ...]
    under_way: tuple[Step, ...] = ()
    then: PlanDone | None = None


def send_of(plan: Step, device: Device) -> Step:
    """Make the step of a delivery that is begun under a plan's lease; by the id that it has if it is opened.

    It is tried for the time that the plan is: where a lease ran out, somebody may have begun it before.
    """
    notification = plan.notification
    step_id = f"{notification.id}/{device.id}"
    return Step(step_id, StepKind.SEND, plan.lease, plan.attempt, notification, device, rules=plan.rules)


class Notifications(Protocol):
    """The half of the ledger that gateways ask. Its rules are those of `Ledger`."""

    async def accept(self, draft: Draft, *, idempotency_key: str = "", fingerprint: bytes = b"") -> Sequence[Accepted]:
        """Store a draft for each of its users, in their order, each with a plan step due now.

        Args:
            idempotency_key: If set and seen before (within its time to live) nothing is stored and the first answer returns,
                also to a twin that runs at the same time.
            fingerprint: A digest of the request's body.
        Raises:
            BadInput: Naming `idempotency_key`, when it was used with another fingerprint.
        """

    async def acknowledge(self, notification_id: str, user: str, mark: Mark = Mark.SEEN) -> State:
        """Record that the user saw it, or what else they did about it, and end all steps, in one transaction; again is no
        error.

        Args:
            mark: Any but `unread`; it is recorded and moves the notification in the inbox also where the state stays.
        Returns:
            The state after: acknowledged, or cancelled/expired which an ack no longer changes.
        Raises:
            NotFound: No such notification, or another user's.
        """

    async def cancel(self, notification_id: str) -> State:
        """End a pending notification; a finished one stays as it is.

        Returns:
            The state after.
        Raises:
            NotFound: No such notification.
        """

    async def status(self, notification_id: str) -> NotificationStatus:
        """Read a notification with its timeline.

        Raises:
            NotFound: No such notification.
        """


class Ledger(Notifications, Protocol):
    """The durable half of the pipeline. Every method is one transaction, or joins one with its neighbours: all or nothing.

    All raise `StoreUnavailable` when the store does not answer; then whether anything was stored is unknown.
    """

    async def claim(
        self,
        worker: str,
        quotas: Mapping[Lane, int],
        *,
        lease_until: datetime,
        paused: frozenset[str] = frozenset(),
    ) -> Sequence[Step]:
        """Take due steps, at most so many per lane, lanes in order of priority, longest due first.

        Also takes over steps whose lease ran out (their attempt counts as begun). Sends of `paused` carriers are left alone,
        unless their notification has expired. Steps of one claim never overlap those of another.
        """

    async def renew(self, steps: Sequence[Step], *, lease_until: datetime) -> None:
        """Hold steps longer; stale leases are passed over."""

    async def record(self, plans: Sequence[PlanDone], sends: Sequence[SendDone], passages: Sequence[Passage] = ()) -> None:
        """Write what came of claimed steps, all in one transaction, passages first.

        Where a lease is stale (taken over, or its notification acknowledged or cancelled meanwhile) only the timeline's line is
        written.
        """

    async def release(self, worker: str) -> None:
        """Give all steps of a worker back, due now and without counting their attempts: for a clean end."""

    async def next_due(self, *, paused: frozenset[str] = frozenset(), lanes: Collection[Lane] = tuple(Lane)) -> datetime | None:
        """Tell when the next step of some lanes is due or its lease runs out; None when there is none.

        Sends of `paused` carriers are left out, so that a worker which must leave them alone does not wake for them.
        """

    def on_work(self, wake: Callable[[], None]) -> None:
        """Say whom to wake, in the loop's thread, when a step is made due now: by this process, or by another where the store
        can tell (PostgreSQL; never a promise, so whoever waits looks by himself too)."""

    def on_critical(self, asks: Callable[[], Ask | None], take: Callable[[Sequence[Step]], bool]) -> None:
        """Have critical plans claimed for a worker of this process in the transaction that stores them.

        Args:
            asks: Called in the loop's thread before, tells what would be claimed now; None for nothing.
            take: Called there each time that something was asked for: after the commit, with what was claimed, perhaps nothing;
                or with nothing where there was no commit, or none in time (then it may be called again). False where it takes
                nothing any more; then the leases are given back.
        """

    def is_ended(self, notification_id: str) -> bool:
        """Whether this process saw the notification end lately, or heard of it from another: a last look before a send, from
        memory, never a promise."""
