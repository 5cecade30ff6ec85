"""Out of the ledger: due steps are leased to a worker, with all that is needed to do them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, and_, bindparam, not_, or_, select, update

from broker.habits import NO_HABITS, Habits
from broker.ledger import Step, StepKind
from broker.notification import Device, Entry, Lane, Notification, Outcome, Preference, device_of_url
from broker.preferences import UserRules
from broker.store.bulk import Rows, execute_rows
from broker.store.campaign_tables import TARGETS
from broker.store.dialect import Among, TextList
from broker.store.habits import habits_of
from broker.store.keys import PLAN, StepKey
from broker.store.preference_tables import USER_RULES
from broker.store.preferences import rules_from
from broker.store.rows import (
    DEVICE_COLUMNS,
    StoredDraft,
    decode_draft,
    device_of,
    entry_from,
    notification_from,
    preference_from,
)
from broker.store.schema import DEVICES, DRAFTS, ENTRIES, NOTIFICATIONS, PREFERENCES, STEPS
from broker.store.suppression import reasons_of
from broker.suppression import SUPPRESSIBLE

__all__ = ["Lease", "claim", "claim_plans"]

_S: Final = STEPS.c

# A device that was removed brings none, and neither does one that has moved to another user since: what was meant for one
# person is never sent to the next owner of the phone.
_ROWS: Final = (
    select(
        _S.notification_id,
        _S.device_id,
        _S.attempt,
        NOTIFICATIONS.c.draft_id,
        NOTIFICATIONS.c.user.label("owner"),
        NOTIFICATIONS.c.state,
        NOTIFICATIONS.c.experiment,
        NOTIFICATIONS.c.variant,
        *DEVICE_COLUMNS,
    )
    .join_from(STEPS, NOTIFICATIONS, NOTIFICATIONS.c.id == _S.notification_id)
    .outerjoin(DEVICES, and_(DEVICES.c.id == _S.device_id, DEVICES.c.user == NOTIFICATIONS.c.user))
    .where(_S.due_at <= bindparam("now"))
    .order_by(_S.due_at)
    .with_for_update(of=STEPS, skip_locked=True)
)
_DUE: Final = _ROWS.where(_S.lane == bindparam("lane")).limit(bindparam("quota"))
_DUE_PLANS: Final = _ROWS.where(
    Among(_S.notification_id, bindparam("among", type_=TextList())), _S.device_id == PLAN, _S.lease.is_(None)
)
_DUE_UNPAUSED: Final = _DUE.where(
    or_(not_(Among(_S.provider, bindparam("paused", type_=TextList()))), _S.expires_at <= bindparam("now"))
)
_KEYS: Final = Rows(_S.notification_id, _S.device_id)
_TAKE: Final = update(STEPS).values(
    lease=bindparam("new_lease"), worker=bindparam("new_worker"), due_at=bindparam("until"), attempt=_S.attempt + 1
)
_LEASE: Final = _TAKE.where(_S.notification_id == _KEYS[_S.notification_id], _S.device_id == _KEYS[_S.device_id])
# By half the work for each: most of what is claimed are plans.
_LEASE_PLANS: Final = _TAKE.where(Among(_S.notification_id, bindparam("among", type_=TextList())), _S.device_id == PLAN)


def _among(query: Select[Any], column: Any) -> Select[Any]:
    return query.where(Among(column, bindparam("among", type_=TextList())))


_DRAFTS: Final = _among(select(DRAFTS), DRAFTS.c.id)
_DEVICES: Final = _among(select(*DEVICE_COLUMNS), DEVICES.c.user).order_by(DEVICES.c.registered_at, DEVICES.c.id)
_PREFERENCES: Final = _among(select(PREFERENCES), PREFERENCES.c.user).order_by(PREFERENCES.c.category, PREFERENCES.c.route)
_RULES: Final = _among(select(USER_RULES), USER_RULES.c.user)
_TARGETS: Final = _among(select(TARGETS), TARGETS.c.notification_id)
_ENTRIES: Final = _among(select(ENTRIES), ENTRIES.c.notification_id).order_by(ENTRIES.c.at, ENTRIES.c.number)


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
    due = connection.execute(_DUE_PLANS, {"now": lease.now, "among": list(notification_ids)}).all()
    return _claimed(connection, lease, due)


def _claimed(connection: Connection, lease: Lease, due: Sequence[Row[Any]]) -> Sequence[Step]:
    if not due:
        return ()
    plans = [row for row in due if not row.device_id]
    _take(connection, lease, plans, [row for row in due if row.device_id])
    drafts = {
        row.id: decode_draft(row) for row in connection.execute(_DRAFTS, {"among": list({row.draft_id for row in due})}).all()
    }
    users = list({row.owner for row in plans})
    context = _Context(
        drafts,
        _by_user(connection, _DEVICES, users, lambda row: device_of(*row)),
        _by_user(connection, _PREFERENCES, users, preference_from),
        _entries(connection, [row.notification_id for row in plans]),
        _rules(connection, list({row.owner for row in due})),
        _targets(connection, [row.notification_id for row in plans if drafts[row.draft_id].body.terms.is_aimed]),
        habits_of(connection, [row.owner for row in plans if drafts[row.draft_id].body.terms.by_habit]),
    )
    return _telling_suppressed(connection, [_step(row, lease, context) for row in due])


def _take(connection: Connection, lease: Lease, plans: Sequence[Row[Any]], sends: Sequence[Row[Any]]) -> None:
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


def _due(connection: Connection, lease: Lease, lane: Lane, quota: int, paused: frozenset[str]) -> Sequence[Row[Any]]:
    asked = {"lane": int(lane), "now": lease.now, "quota": quota}
    if not paused:
        return connection.execute(_DUE, asked).all()
    return connection.execute(_DUE_UNPAUSED, {**asked, "paused": sorted(paused)}).all()


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
    return {row.user: rules_from(row) for row in connection.execute(_RULES, {"among": users}).all()}


def _targets(connection: Connection, notification_ids: list[str]) -> Mapping[str, frozenset[str]]:
    if not notification_ids:
        return {}
    rows = connection.execute(_TARGETS, {"among": notification_ids}).all()
    grouped = _grouped((row.notification_id, row.device_id) for row in rows)
    return {notification_id: frozenset(devices) for notification_id, devices in grouped.items()}


def _by_user(connection: Connection, query: Select[Any], users: list[str], read: Any) -> Mapping[str, tuple[Any, ...]]:
    if not users:
        return {}
    return _grouped((row.user, read(row)) for row in connection.execute(query, {"among": users}).all())


def _entries(connection: Connection, notification_ids: list[str]) -> Mapping[str, tuple[Entry, ...]]:
    if not notification_ids:
        return {}
    rows = connection.execute(_ENTRIES, {"among": notification_ids}).all()
    return _grouped((row.notification_id, entry_from(row)) for row in rows)


def _grouped(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, tuple[Any, ...]]:
    groups: dict[str, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _step(row: Sequence[Any], lease: Lease, context: _Context) -> Step:
    notification_id, device_id, attempt, draft_id, owner, state, experiment, variant, *values = row
    notification = notification_from(notification_id, owner, state, context.drafts[draft_id], experiment, variant)
    key, rules = StepKey(notification_id, device_id), context.rules.get(owner, _NO_RULES)
    own = device_of_url(notification)
    if device_id:
        device = own if values[0] is None else device_of(*values)
        return Step(str(key), StepKind.SEND, lease.id, attempt + 1, notification, device, rules=rules)
    return Step(
        notification_id,
        StepKind.PLAN,
        lease.id,
        attempt + 1,
        notification,
        devices=context.devices_of(owner, notification) if own is None else (own,),
        preferences=context.preferences.get(owner, ()),
        entries=_since_replay(context.entries.get(notification_id, ())),
        rules=rules,
        habits=context.habits.get(owner, NO_HABITS),
    )


def _since_replay(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Leave out what came before a notification was begun anew as a whole: its routes are all ahead again."""
    for index in range(len(entries) - 1, -1, -1):
        if entries[index].outcome is Outcome.REPLAYED and not entries[index].route:
            return entries[index + 1 :]
    return entries
