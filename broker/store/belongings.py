"""What belongs to a notification or to a user: read from the tables' columns, so that a new table cannot be forgotten.

A table with a column `notification_id` has rows of notifications; one with a column `user` has rows of users.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, exists, select

from broker.store.dialect import Among, TextList
from broker.store.schema import DRAFTS, METADATA, NOTIFICATIONS

__all__ = ["remove_notifications", "remove_of_user"]

_IDS: Final = bindparam("among", type_=TextList())
_REMOVE_NOTIFICATIONS: Final = delete(NOTIFICATIONS).where(Among(NOTIFICATIONS.c.id, _IDS))
_REMOVE_DRAFTS: Final = delete(DRAFTS).where(
    Among(DRAFTS.c.id, _IDS),
    ~exists(select(NOTIFICATIONS.c.id).where(NOTIFICATIONS.c.draft_id == DRAFTS.c.id)),
)


def remove_notifications(connection: Connection, drafts_by_id: Mapping[str, str]) -> dict[str, int]:
    """Remove notifications, given with their drafts, and all that belongs to them; a draft goes with the last of its own.

    Returns:
        How many rows went, by table.
    """
    ids = sorted(drafts_by_id)
    counts = {
        table.name: _run(connection, delete(table).where(Among(table.c.notification_id, _IDS)), ids)
        for table in _tables_with("notification_id")
    }
    counts[NOTIFICATIONS.name] = _run(connection, _REMOVE_NOTIFICATIONS, ids)
    _run(connection, _REMOVE_DRAFTS, sorted(set(drafts_by_id.values())))
    return counts


def remove_of_user(connection: Connection, user: str) -> dict[str, int]:
    """Remove what names a user, but for the notifications themselves; tells how many rows went, by table."""
    named = {"of_user": user}
    return {
        table.name: connection.execute(delete(table).where(table.c.user == bindparam("of_user")), named).rowcount
        for table in _tables_with("user")
        if table is not NOTIFICATIONS
    }


def _tables_with(column: str) -> list[Table]:
    """List tables, those that refer to others first."""
    return [table for table in reversed(METADATA.sorted_tables) if column in table.c]


def _run(connection: Connection, statement: Any, texts: list[str]) -> int:
    return int(connection.execute(statement, {"among": texts}).rowcount)
