"""The preferences on SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from broker.notification import Preference
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.rows import preference_from
from broker.store.schema import PREFERENCES
from broker.store.texts import check_name, is_name

__all__ = ["SqlPreferences"]

_P: Final = PREFERENCES.c
_OF_USER: Final = select(PREFERENCES).where(_P.user == bindparam("user")).order_by(_P.category, _P.route)


class SqlPreferences:
    """Implements `broker.preferences.Preferences`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(self, user: str) -> Sequence[Preference]:
        if not is_name(user):
            return ()
        return await self._database.read(
            lambda connection: [preference_from(row) for row in connection.execute(_OF_USER, {"user": user})]
        )

    async def set(self, user: str, preferences: Sequence[Preference]) -> None:
        check_name("user", user)
        for index, word in enumerate(preferences):
            check_name(f"preferences[{index}].category", word.category)
        # The last word on a pair counts; in one order, so that two sets of one user never wait for each other.
        words = {(word.category, word.route): word.enabled for word in preferences}
        rows = [
            {"user": user, "category": category, "route": route, "enabled": enabled}
            for (category, route), enabled in sorted(words.items())
        ]
        if rows:
            await self._database.write(lambda connection: _set(connection, rows))


def _set(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    insert = upsert(connection, PREFERENCES)
    insert = insert.on_conflict_do_update(
        index_elements=[_P.user, _P.category, _P.route], set_={"enabled": insert.excluded.enabled}
    )
    connection.execute(insert, rows)
