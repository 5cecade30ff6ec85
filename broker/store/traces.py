"""The traces of notifications, on SQL. They lie within what a request's notifications share."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from broker.store.database import Database
from broker.store.dialect import Among, TextList
from broker.store.rows import decode_draft
from broker.store.schema import DRAFTS, NOTIFICATIONS
from broker.store.texts import is_name
from broker.traces import NotificationTrace

__all__ = ["SqlTraces"]

_AMONG: Final = bindparam("among", type_=TextList())
_NAMED: Final = select(NOTIFICATIONS.c.id, NOTIFICATIONS.c.draft_id).where(Among(NOTIFICATIONS.c.id, _AMONG))
# Each once, however many of its notifications are asked for.
_SHARED: Final = select(DRAFTS).where(Among(DRAFTS.c.id, _AMONG))


class SqlTraces:
    """Implements `broker.traces.Traces`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, ids: Sequence[str]) -> Sequence[NotificationTrace]:
        named = [notification_id for notification_id in ids if is_name(notification_id)]
        return await self._database.read(lambda connection: _read(connection, named)) if named else ()


def _read(connection: Connection, ids: Sequence[str]) -> list[NotificationTrace]:
    draft_of: dict[str, Any] = {row.id: row.draft_id for row in connection.execute(_NAMED, {"among": ids})}
    rows = connection.execute(_SHARED, {"among": sorted(set(draft_of.values()))}) if draft_of else ()
    drafts = {row.id: decode_draft(row) for row in rows}
    found = [(notification_id, drafts[draft_id]) for notification_id, draft_id in draft_of.items() if draft_id in drafts]
    return [NotificationTrace(name, draft.body.trace, draft.created_at) for name, draft in found if draft.body.trace]
