"""Erasure on SQL: a bounded number of notifications per transaction, so that nobody else waits for long."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, select

from broker.audit import Act, AuditRecord
from broker.notification import State
from broker.store.audit import SqlAudit
from broker.store.audit_tables import AUDIT_SUBJECTS
from broker.store.audit_trail import Trail
from broker.store.belongings import remove_notifications, remove_of_user
from broker.store.database import Database
from broker.store.dialect import Among, TextList
from broker.store.schema import DEVICES, NOTIFICATIONS, STEPS
from broker.store.texts import is_name

__all__ = ["SqlErasure"]

_PIECE: Final = 500
_N: Final = NOTIFICATIONS.c
_OF_USER: Final = select(_N.id).where(_N.user == bindparam("of_user")).order_by(_N.id).limit(_PIECE)
_AMONG: Final = bindparam("among", type_=TextList())
_E: Final = NOTIFICATIONS.alias("escalation").c
# What tells somebody else if this user does not look.
_ESCALATIONS: Final = (
    select(_E.id)
    .select_from(NOTIFICATIONS)
    .join(_E.id.table, _E.id == _N.escalation_id)
    .where(Among(_N.id, _AMONG), _N.escalation_id != "", _E.state == State.PENDING.value, _E.user != _N.user)
    .order_by(_E.id)
)
# Steps before notifications, as all who take both.
_HOLD_STEPS: Final = (
    select(STEPS.c.device_id)
    .where(STEPS.c.notification_id == bindparam("of_notification"))
    .order_by(STEPS.c.device_id)
    .with_for_update()
)
# At first: whoever is just setting one aside is waited for, and what was set aside is found.
_HOLD_DEVICES: Final = (
    select(DEVICES.c.id).where(DEVICES.c.user == bindparam("of_user")).order_by(DEVICES.c.id).with_for_update()
)
_HOLD: Final = select(_N.draft_id, _N.state).where(_N.id == bindparam("of_notification")).with_for_update()


class SqlErasure:
    """Implements `broker.erasure.Erasure`.

    Args:
        ended: Told of each notification that was pending, so that nobody begins a send from memory.
    """

    def __init__(self, database: Database, audit: SqlAudit, trail: Trail, *, ended: Callable[[str], None]) -> None:
        self._database, self._audit, self._trail, self._ended = database, audit, trail, ended

    async def erase(self, user: str) -> Mapping[str, int]:
        if not is_name(user):
            return {}
        counts: Counter[str] = Counter()
        erased = self._trail.record_of(Act("user.erased"))
        counts += Counter(await self._database.write(lambda connection: self._begin(connection, user, erased)))
        while ids := await self._database.read(lambda connection: _ids(connection, user)):
            # Before those they belong to, and by themselves: whoever writes of an escalation holds it and asks for the other.
            if escalations := await self._database.read(partial(_escalations, ids=ids)):
                counts += await self._remove(partial(_remove, ids=escalations, only_pending=True))
            counts += await self._remove(partial(_remove, ids=ids))
        return {name: count for name, count in sorted(counts.items()) if count}

    async def _remove(self, remove: Callable[[Connection], tuple[dict[str, int], list[str]]]) -> Counter[str]:
        removed, pending = await self._database.write(remove)
        for notification_id in pending:
            self._ended(notification_id)
        return Counter(removed)

    def _begin(self, connection: Connection, user: str, erased: AuditRecord) -> dict[str, int]:
        """Remove what names the user; the audit loses the way to it, and says so."""
        self._audit.forget(connection, user, erased)
        connection.execute(_HOLD_DEVICES, {"of_user": user})
        counts = remove_of_user(connection, user)
        counts.pop(AUDIT_SUBJECTS.name)  # a way that leads nowhere any more, and nothing that was kept of anybody
        return counts


def _ids(connection: Connection, user: str) -> list[str]:
    return list(connection.execute(_OF_USER, {"of_user": user}).scalars())


def _escalations(connection: Connection, ids: Sequence[str]) -> list[str]:
    return list(connection.execute(_ESCALATIONS, {"among": list(ids)}).scalars())


def _remove(connection: Connection, ids: Sequence[str], *, only_pending: bool = False) -> tuple[dict[str, int], list[str]]:
    """Remove notifications; tells how many rows went, and which ones were pending."""
    drafts_by_id, pending = {}, []
    for notification_id in ids:
        connection.execute(_HOLD_STEPS, {"of_notification": notification_id})
        row = connection.execute(_HOLD, {"of_notification": notification_id}).one_or_none()
        is_pending = row is not None and row.state == State.PENDING.value
        if row is not None and (is_pending or not only_pending):
            drafts_by_id[notification_id] = row.draft_id
            pending += [notification_id] if is_pending else []
    return remove_notifications(connection, drafts_by_id), pending
