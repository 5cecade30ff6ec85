"""What the record of claimed steps comes to: a pure decision over the leases that still hold.

Here stands the life of a step. A plan ends the notification, or asks again later, or rests while its sends are open; a send
stays for a retry, or is gone; the last one to go wakes the plan. Of a passage only what it leaves behind is written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from broker.ledger import NewSend, Passage, PlanDone, SendDone, Step
from broker.notification import Device, Entry, Outcome, State
from broker.store.frequency import ToldRow
from broker.store.keys import PLAN, StepKey
from broker.store.moments import to_micros
from broker.store.rows import EntryRow, entry_row
from broker.store.suppression import SuppressionRow
from broker.suppression import SUPPRESSIBLE, SuppressionReason

__all__ = ["Changes", "Dead", "Opened", "OpenedLeased", "PutBack", "decide"]


# Of `steps`: notification, device, due_at (microseconds; None: it rests), and how many attempts count.
PutBack = tuple[str, str, int | None, int]
# Of `steps`: notification, device, lane, due_at, attempt, provider, expires_at.
Opened = tuple[str, str, int, int, int, str, int]
# Of `steps`, leased: notification, device, lane, attempt, provider, expires_at, lease.
OpenedLeased = tuple[str, str, int, int, str, int, str]
# Of `dead_letters`: notification, device, at, route, provider, address, reason, detail.
Dead = tuple[str, str, int, str, str, str, str, str]

# How a delivery ends that an operator may want to have tried again.
_FRUITLESS: Final = frozenset({Outcome.REFUSED, Outcome.GAVE_UP, Outcome.UNKNOWN, Outcome.PAUSED})


class Changes(msgspec.Struct):
    """What must be written. Every step that is named is held by the transaction that read the leases."""

    entries: list[EntryRow] = []
    put_back: list[PutBack] = []
    opened: list[Opened] = []
    opened_leased: list[OpenedLeased] = []  # until when and by whom their plans were held
    gone: list[StepKey] = []
    ended: dict[str, State] = {}
    dropped: dict[str, tuple[int, str]] = {}  # the moment until which it must have been registered, and why
    dead: list[Dead] = []
    suppressed: list[SuppressionRow] = []
    arrived: list[str] = []
    told: list[ToldRow] = []
    closing: list[tuple[str, str]] = []  # user and id of digests
    elsewhere: list[EntryRow] = []  # lines of notifications that are not held, and may be gone

    def makes_due(self, now: int) -> bool:
        """Whether something can be claimed at `now` that could not before."""
        return any(due_at is not None and due_at <= now for _, _, due_at, _ in self.put_back) or any(
            row[3] <= now for row in self.opened
        )


def decide(
    leases: Mapping[StepKey, str | None],
    plans: Sequence[PlanDone],
    sends: Sequence[SendDone],
    passages: Sequence[Passage] = (),
) -> Changes:
    """Decide what a record changes.

    Args:
        leases: All steps of all notifications concerned, with their leases (None: nobody holds it).
    """
    book = _Book(dict(leases))
    for passage in passages:
        book.record_passage(passage)
    for plan in plans:
        book.record_plan(plan)
    for send in sends:
        book.record_send(send)
    return book.close()


class _Book:
    """The steps as they stand after each line that is recorded."""

    def __init__(self, leases: dict[StepKey, str | None]) -> None:
        self._leases = leases
        self._sends: dict[str, set[StepKey]] = {}
        for key in leases:
            if not key.is_plan:
                self._sends.setdefault(key.notification_id, set()).add(key)
        self._put: dict[StepKey, PutBack] = {}
        self.changes = Changes()

    def close(self) -> Changes:
        """Tell what is to be written."""
        self.changes.put_back = list(self._put.values())
        return self.changes

    def record_passage(self, passage: Passage) -> None:
        plan, then = passage.plan, passage.then
        self._write(plan.step, *plan.entries, *(done.entry for done in passage.made if done.entry is not None))
        if then is not None:
            self._write(then.step, *then.entries)
        key = self._release(plan.step)
        if key is None:
            return
        self._take_beside(plan)
        for done in passage.made:
            self._learn(done)
        again = [done for done in passage.made if done.retry_at is not None]
        for done in again:
            self._open_again(done)
        for step in passage.under_way:
            self._open_leased(step)
        if again or passage.under_way:
            self._put_back(key, None, 0)
        elif then is not None:
            self._take_beside(then)
            self._go_on(key, then)
        else:
            self._put_back(key, max(done.replan_at for done in passage.made), 0)

    def record_plan(self, done: PlanDone) -> None:
        self._write(done.step, *done.entries)
        key = self._release(done.step)
        if key is not None:
            self._take_beside(done)
            self._go_on(key, done)

    def _go_on(self, key: StepKey, done: PlanDone) -> None:
        given = (done.finish is not None) + bool(done.sends) + (done.next_plan_at is not None)
        assert given == 1, "a decision has exactly one of finish, sends and next_plan_at"
        if done.finish is not None:
            self.changes.ended[key.notification_id] = done.finish
            if done.finish is State.FAILED:
                self.changes.dead.append(_dead_notification(done))
        elif done.sends:
            self._put_back(key, None, 0)
            self._open(done.step, done.sends)
        else:
            self._put_back(key, done.next_plan_at, 0)

    def _take_beside(self, done: PlanDone) -> None:
        notification = done.step.notification
        if done.arrives:
            self.changes.arrived.append(notification.id)
        if done.counts:
            at = to_micros(done.sends[0].due_at)
            self.changes.told.append((notification.user, notification.content.category, notification.id, at))
        if done.closes:
            self.changes.closing.append((notification.user, notification.id))
        if done.tells is not None:
            self.changes.elsewhere.append(entry_row(*done.tells))

    def record_send(self, done: SendDone) -> None:
        notification_id = done.step.notification.id
        if done.entry is not None:
            self._write(done.step, done.entry)
        key = self._release(done.step)
        if key is None:
            return
        self._learn(done)
        if done.retry_at is not None:
            self._put_back(key, done.retry_at, _attempts(done))
            return
        self._leases.pop(key)
        self.changes.gone.append(key)
        self._sends[notification_id].discard(key)
        plan = StepKey(notification_id, PLAN)
        if not self._sends[notification_id] and plan in self._leases:
            self._put_back(plan, done.replan_at, 0)

    def _learn(self, done: SendDone) -> None:
        """Take what an attempt says of its device, and keep what came to nothing."""
        device = done.step.device
        if done.drop_device is not None and device is not None:
            because = "" if done.entry is None else done.entry.detail
            self.changes.dropped[device.id] = (to_micros(done.drop_device), because)
            if device.provider in SUPPRESSIBLE:
                self.changes.suppressed.append(_hard_bounce(device, done))
        if done.retry_at is None and done.entry is not None and done.entry.outcome in _FRUITLESS:
            self.changes.dead.append(_dead_delivery(StepKey.parse(done.step.id), done.entry))

    def _write(self, step: Step, *entries: Entry) -> None:
        self.changes.entries += [entry_row(step.notification.id, entry) for entry in entries]

    def _release(self, step: Step) -> StepKey | None:
        """Take a step from its holder; None when the lease is stale."""
        key = StepKey.parse(step.id)
        if self._leases.get(key) != step.lease:
            return None
        self._leases[key] = None
        return key

    def _open(self, step: Step, sends: Sequence[NewSend]) -> None:
        notification = step.notification
        for send in sends:
            key = StepKey(notification.id, send.device.id)
            if self._add(key, None):
                self.changes.opened.append(
                    (
                        *key,
                        notification.lane,
                        to_micros(send.due_at),
                        0,
                        send.device.carrier,
                        to_micros(notification.expires_at),
                    )
                )

    def _open_again(self, done: SendDone) -> None:
        """Open the step of a delivery that was made, and is to be tried again."""
        step, key = done.step, StepKey.parse(done.step.id)
        assert step.device is not None
        assert done.retry_at is not None
        if self._add(key, None):
            notification = step.notification
            expires_at, carrier = to_micros(notification.expires_at), step.device.carrier
            row = (*key, notification.lane, to_micros(done.retry_at), _attempts(done), carrier, expires_at)
            self.changes.opened.append(row)

    def _open_leased(self, step: Step) -> None:
        key, notification = StepKey.parse(step.id), step.notification
        assert step.device is not None
        if self._add(key, step.lease):
            expires_at = to_micros(notification.expires_at)
            row = (*key, notification.lane, step.attempt, step.device.carrier, expires_at, step.lease)
            self.changes.opened_leased.append(row)

    def _add(self, key: StepKey, lease: str | None) -> bool:
        """Take a send in; False where there is one: a device is reached once at a time."""
        if key in self._leases:
            return False
        self._leases[key] = lease
        self._sends.setdefault(key.notification_id, set()).add(key)
        return True

    def _put_back(self, key: StepKey, due_at: datetime | None, attempt: int) -> None:
        # What this same record opens leased it may end, too: then the last word on the plan counts.
        self._put[key] = (*key, None if due_at is None else to_micros(due_at), attempt)


def _attempts(done: SendDone) -> int:
    """Tell how many attempts count of a step that stays."""
    return done.step.attempt if done.counts else done.step.attempt - 1


def _hard_bounce(device: Device, done: SendDone) -> SuppressionRow:
    """Leave an address alone that its provider does not know, also when it is registered again."""
    assert done.drop_device is not None
    detail = "" if done.entry is None else done.entry.detail.replace("\0", "")
    at = to_micros(done.drop_device)
    return (device.provider.value, device.token.lower(), SuppressionReason.BOUNCE.value, detail, at, device.user)


def _dead_delivery(key: StepKey, entry: Entry) -> Dead:
    row = entry_row(key.notification_id, entry)
    return (*key, row[1], entry.route, entry.provider, row[5], entry.outcome, row[8])


def _dead_notification(done: PlanDone) -> Dead:
    """Say by the end of each route why a notification failed."""
    outcome_by_route = {entry.route: entry.outcome for entry in (*done.step.entries, *done.entries) if entry.route}
    detail = ", ".join(f"{route} {outcome}" for route, outcome in outcome_by_route.items()) or "no device and no address"
    at = max((entry.at for entry in (*done.step.entries, *done.entries)), default=done.step.notification.created_at)
    return (done.step.notification.id, PLAN, to_micros(at), "", "", "", State.FAILED, detail)
