"""The preferences on SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, select

from broker.audit import Act
from broker.notification import Preference
from broker.preferences import UserRules
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.moments import to_micros
from broker.store.preference_tables import USER_RULES
from broker.store.rows import RulesRow, preference_from
from broker.store.schema import PREFERENCES
from broker.store.texts import check_name, is_name

__all__ = ["SqlPreferences", "rules_from"]

_P: Final = PREFERENCES.c
_OF_USER: Final = select(PREFERENCES).where(_P.user == bindparam("user")).order_by(_P.category, _P.route)
_RULES: Final = select(USER_RULES).where(USER_RULES.c.user == bindparam("of_user"))
_FORGET_RULES: Final = delete(USER_RULES).where(USER_RULES.c.user == bindparam("of_user"))
_NONE: Final = UserRules()

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(UserRules)


def rules_from(row: Row[Any] | RulesRow) -> UserRules:
    """Read a row of `user_rules`."""
    return _DECODER.decode(row.body)


class SqlPreferences:
    """Implements `broker.preferences.Preferences`."""

    def __init__(self, database: Database, trail: Trail) -> None:
        self._database, self._trail = database, trail

    async def of_user(self, user: str) -> Sequence[Preference]:
        if not is_name(user):
            return ()
        return await self._database.read(
            lambda connection: [preference_from(row) for row in connection.execute(_OF_USER, {"user": user})]
        )

    async def set(self, user: str, preferences: Sequence[Preference]) -> None:
        if rows := _rows(user, preferences):
            await self._trail.write(lambda connection: _set(connection, rows), _changed(user, rows))

    async def rules_of(self, user: str) -> UserRules:
        if not is_name(user):
            return _NONE
        row = await self._database.read(lambda connection: connection.execute(_RULES, {"of_user": user}).one_or_none())
        return _NONE if row is None else rules_from(row)

    async def change(self, user: str, preferences: Sequence[Preference], rules: UserRules) -> None:
        rows = _rows(user, preferences)

        def write(connection: Connection) -> None:
            _set_rules(connection, user, rules)
            _set(connection, rows)

        await self._trail.write(write, _changed(user, rows, rules))


def _changed(user: str, rows: Sequence[Mapping[str, Any]], rules: UserRules | None = None) -> Act:
    """Tell what a user said: categories by route, and whether rules were set. When somebody sleeps is nobody's business."""
    details: dict[str, Any] = {f"{row['category']}/{row['route']}": row["enabled"] for row in rows}
    if rules is not None:
        details["rules"] = "none" if rules == _NONE else "set"
    return Act("preferences.set", user=user, details=details)


def _rows(user: str, preferences: Sequence[Preference]) -> Sequence[Mapping[str, Any]]:
    check_name("user", user)
    for index, word in enumerate(preferences):
        check_name(f"preferences[{index}].category", word.category)
    # The last word on a pair counts; in one order, so that two sets of one user never wait for each other.
    words = {(word.category, word.route): word for word in preferences}
    return [
        {
            "user": user,
            "category": category,
            "route": route,
            "enabled": word.enabled,
            "until": None if word.until is None else to_micros(word.until),
        }
        for (category, route), word in sorted(words.items(), key=lambda pair: pair[0])
    ]


def _set(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    insert = upsert(connection, PREFERENCES)
    insert = insert.on_conflict_do_update(
        index_elements=[_P.user, _P.category, _P.route],
        set_={"enabled": insert.excluded.enabled, "until": insert.excluded.until},
    )
    connection.execute(insert, rows)


def _set_rules(connection: Connection, user: str, rules: UserRules) -> None:
    """Replace a user's rules; empty ones take no row, so that claims find nothing to read."""
    if rules == _NONE:
        connection.execute(_FORGET_RULES, {"of_user": user})
        return
    insert = upsert(connection, USER_RULES)
    insert = insert.on_conflict_do_update(index_elements=[USER_RULES.c.user], set_={"body": insert.excluded.body})
    connection.execute(insert, {"user": user, "body": _ENCODER.encode(rules)})
