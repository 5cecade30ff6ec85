"""Out of the ledger: due steps are leased to a worker, with all that is needed to do them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, update

from broker.habits import NO_HABITS, Habits
from broker.ledger import Step, StepKind
from broker.notification import Device, Entry, Lane, Notification, Outcome, Preference, device_of_url
from broker.preferences import UserRules
from broker.store.bulk import Rows, execute_rows
from broker.store.bulk_reading import BulkRead
from broker.store.claim_reads import (
    DEVICES_OF,
    DRAFTS_OF,
    DUE,
    DUE_PLANS,
    DUE_UNPAUSED,
    LINES_OF,
    PREFERENCES_OF,
    RULES_OF,
    TARGETS_OF,
    DueRow,
)
from broker.store.dialect import Among, TextList
from broker.store.habits import habits_of
from broker.store.keys import PLAN, StepKey
from broker.store.preferences import rules_from
from broker.store.rows import (
    DEVICE_COLUMNS,
    StoredDraft,
    decode_draft,
    device_from,
    device_of,
    entry_from,
    notification_from,
    preference_from,
)
from broker.store.schema import STEPS
from broker.store.suppression import reasons_of
from broker.suppression import SUPPRESSIBLE

__all__ = ["Lease", "claim", "claim_plans"]

_S: Final = STEPS.c

_KEYS: Final = Rows(_S.notification_id, _S.device_id)
_TAKE: Final = update(STEPS).values(
    lease=bindparam("new_lease"), worker=bindparam("new_worker"), due_at=bindparam("until"), attempt=_S.attempt + 1
)
_LEASE: Final = _TAKE.where(_S.notification_id == _KEYS[_S.notification_id], _S.device_id == _KEYS[_S.device_id])
# By half the work for each: most of what is claimed are plans.
_LEASE_PLANS: Final = _TAKE.where(Among(_S.notification_id, bindparam("among", type_=TextList())), _S.device_id == PLAN)


_NO_RULES: Final = UserRules()


class Lease(msgspec.Struct, frozen=True):
    """What a claim gives out; moments in microseconds."""

    id: str
    worker: str
    now: int
    until: int


def claim(connection: Connection, lease: Lease, quotas: Mapping[Lane, int], paused: frozenset[str]) -> Sequence[Step]:
    """Lease due steps, lanes in order of priority, and load what they need in a query per table."""
    due = [row for lane in sorted(quotas) if quotas[lane] > 0 for row in _due(connection, lease, lane, quotas[lane], paused)]
    return _claimed(connection, lease, due)


def claim_plans(connection: Connection, lease: Lease, notification_ids: Sequence[str]) -> Sequence[Step]:
    """Lease the plans of some notifications, those that are due and nobody has."""
    due = DUE_PLANS.rows(connection, {"now": lease.now, "among": list(notification_ids)})
    return _claimed(connection, lease, due)


def _claimed(connection: Connection, lease: Lease, due: Sequence[DueRow]) -> Sequence[Step]:
    if not due:
        return ()
    plans = [row for row in due if not row.device_id]
    _take(connection, lease, plans, [row for row in due if row.device_id])
    asked = {"among": list({row.draft_id for row in due})}
    drafts = {row.id: decode_draft(row) for row in DRAFTS_OF.rows(connection, asked)}
    users = list({row.owner for row in plans})
    context = _Context(
        drafts,
        _by_user(connection, DEVICES_OF, users, device_from),
        _by_user(connection, PREFERENCES_OF, users, preference_from),
        _entries(connection, [row.notification_id for row in plans]),
        _rules(connection, list({row.owner for row in due})),
        _targets(connection, [row.notification_id for row in plans if drafts[row.draft_id].body.terms.is_aimed]),
        habits_of(connection, [row.owner for row in plans if drafts[row.draft_id].body.terms.by_habit]),
    )
    return _telling_suppressed(connection, [_step(row, lease, context) for row in due])


def _take(connection: Connection, lease: Lease, plans: Sequence[DueRow], sends: Sequence[DueRow]) -> None:
    given = {"new_lease": lease.id, "new_worker": lease.worker, "until": lease.until}
    if plans:
        connection.execute(_LEASE_PLANS, {"among": [row.notification_id for row in plans], **given})
    execute_rows(connection, _LEASE, [(row.notification_id, row.device_id) for row in sends], **given)


def _telling_suppressed(connection: Connection, steps: list[Step]) -> list[Step]:
    """Say which addresses of sends and of plans' devices are left alone; asked only where such addresses can be."""
    addresses = {
        _address(device)
        for step in steps
        for device in (*step.devices, step.device)
        if device is not None and device.provider in SUPPRESSIBLE
    }
    reasons = reasons_of(connection, addresses) if addresses else {}
    return [_telling(step, reasons) for step in steps] if reasons else steps


def _telling(step: Step, reasons: Mapping[tuple[str, str], str]) -> Step:
    if step.device is not None:
        reason = reasons.get(_address(step.device))
        return msgspec.structs.replace(step, suppressed=reason) if reason else step
    left_alone = frozenset(device.id for device in step.devices if _address(device) in reasons)
    return msgspec.structs.replace(step, left_alone=left_alone) if left_alone else step


def _address(device: Device) -> tuple[str, str]:
    """Tell a device's address as the suppression list has it."""
    return device.provider.value, device.token.lower()


def _due(connection: Connection, lease: Lease, lane: Lane, quota: int, paused: frozenset[str]) -> Sequence[DueRow]:
    asked = {"lane": int(lane), "now": lease.now, "quota": quota}
    if not paused:
        return DUE.rows(connection, asked)
    return DUE_UNPAUSED.rows(connection, {**asked, "paused": sorted(paused)})


class _Context(msgspec.Struct, frozen=True):
    """What the steps of one claim need beside their own rows."""

    drafts: Mapping[str, StoredDraft]
    devices: Mapping[str, tuple[Device, ...]]
    preferences: Mapping[str, tuple[Preference, ...]]
    entries: Mapping[str, tuple[Entry, ...]]
    rules: Mapping[str, UserRules]
    targets: Mapping[str, frozenset[str]]  # of what goes to some devices only
    habits: Mapping[str, Habits]  # of the users of what is told by habit

    def devices_of(self, user: str, notification: Notification) -> tuple[Device, ...]:
        devices = self.devices.get(user, ())
        if not notification.terms.is_aimed:
            return devices
        targets = self.targets.get(notification.id, frozenset())
        return tuple(device for device in devices if device.id in targets)


def _rules(connection: Connection, users: list[str]) -> Mapping[str, UserRules]:
    """Read the rules of those who have any: a look into the primary key for each user of a claim."""
    return {row.user: rules_from(row) for row in RULES_OF.rows(connection, {"among": users})}


def _targets(connection: Connection, notification_ids: list[str]) -> Mapping[str, frozenset[str]]:
    if not notification_ids:
        return {}
    rows = TARGETS_OF.rows(connection, {"among": notification_ids})
    grouped = _grouped((row.notification_id, row.device_id) for row in rows)
    return {notification_id: frozenset(devices) for notification_id, devices in grouped.items()}


def _by_user(connection: Connection, of_users: BulkRead[Any], users: list[str], read: Any) -> Mapping[str, tuple[Any, ...]]:
    if not users:
        return {}
    return _grouped((row.user, read(row)) for row in of_users.rows(connection, {"among": users}))


def _entries(connection: Connection, notification_ids: list[str]) -> Mapping[str, tuple[Entry, ...]]:
    if not notification_ids:
        return {}
    rows = LINES_OF.rows(connection, {"among": notification_ids})
    return _grouped((row.notification_id, entry_from(row)) for row in rows)


def _grouped(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, tuple[Any, ...]]:
    groups: dict[str, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _step(row: DueRow, lease: Lease, context: _Context) -> Step:
    owner, draft = row.owner, context.drafts[row.draft_id]
    notification = notification_from(row.notification_id, owner, row.state, draft, row.experiment, row.variant)
    key, rules = StepKey(row.notification_id, row.device_id), context.rules.get(owner, _NO_RULES)
    own = device_of_url(notification)
    if row.device_id:
        device = own if row.own_device_id is None else device_of(*msgspec.structs.astuple(row)[-len(DEVICE_COLUMNS) :])
        return Step(str(key), StepKind.SEND, lease.id, row.attempt + 1, notification, device, rules=rules)
    return Step(
        row.notification_id,
        StepKind.PLAN,
        lease.id,
        row.attempt + 1,
        notification,
        devices=context.devices_of(owner, notification) if own is None else (own,),
        preferences=context.preferences.get(owner, ()),
        entries=_since_replay(context.entries.get(row.notification_id, ())),
        rules=rules,
        habits=context.habits.get(owner, NO_HABITS),
    )


def _since_replay(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Leave out what came before a notification was begun anew as a whole: its routes are all ahead again."""
    for index in range(len(entries) - 1, -1, -1):
        if entries[index].outcome is Outcome.REPLAYED and not entries[index].route:
            return entries[index + 1 :]
    return entries
