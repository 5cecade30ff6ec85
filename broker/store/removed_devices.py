"""Devices that were set aside, on SQL: moved there by the record of a delivery, and back by an operator."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
)

from broker.audit import Act
from broker.devices import MAX_DEVICES
from broker.errors import BadInput, NotFound
from broker.notification import Device
from broker.removed_devices import RemovedDevice, RemovedFilter, RemovedPage, RestoredPage
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.dialect import Among, TextList
from broker.store.moments import from_micros, to_micros
from broker.store.removed_devices_table import REMOVED_DEVICES
from broker.store.rows import device_from
from broker.store.schema import DEVICES
from broker.store.texts import is_name

__all__ = ["SqlRemovedDevices", "forget_address", "set_aside"]

_D: Final = DEVICES.c
_R: Final = REMOVED_DEVICES.c
_IDS: Final = bindparam("among", type_=TextList())
# Locked in one order, and looked at before it is deleted: one that was registered again meanwhile stays.
_DROPPED: Final = select(DEVICES).where(Among(_D.id, _IDS)).order_by(_D.id).with_for_update()
_DROP: Final = delete(DEVICES).where(Among(_D.id, _IDS))
_FORGET: Final = delete(REMOVED_DEVICES).where(
    _R.provider == bindparam("provider"), _R.token_digest == bindparam("token_digest")
)
_ONE: Final = select(REMOVED_DEVICES).where(_R.id == bindparam("of_device"), _R.user == bindparam("of_user")).with_for_update()
_SOME: Final = select(REMOVED_DEVICES).where(Among(_R.id, _IDS)).order_by(_R.removed_at, _R.id).with_for_update()
_COUNTS: Final = select(_D.user, func.count()).where(Among(_D.user, _IDS)).group_by(_D.user)
_TAKE_OUT: Final = delete(REMOVED_DEVICES).where(Among(_R.id, _IDS))
_OLDEST: Final = (
    select(_R.id).where(_R.removed_at < bindparam("removed_before")).order_by(_R.removed_at, _R.id).limit(bindparam("most"))
)


def set_aside(connection: Connection, dropped: Mapping[str, tuple[int, str]], now: int) -> None:
    """Move devices from the registry, unless they were registered again after a moment.

    Args:
        dropped: By the device's id: that moment in microseconds, and what the provider said.
    """
    found = connection.execute(_DROPPED, {"among": sorted(dropped)}).all()
    rows = [
        {**row._mapping, "removed_at": now, "because": dropped[row.id][1].replace("\0", "")}
        for row in found
        if row.registered_at <= dropped[row.id][0]
    ]
    if rows:
        connection.execute(_DROP, {"among": [row["id"] for row in rows]})
        connection.execute(insert(REMOVED_DEVICES), rows)


def forget_address(connection: Connection, provider: str, token_digest: bytes) -> None:
    """Keep an address no longer that was registered again."""
    connection.execute(_FORGET, {"provider": provider, "token_digest": token_digest})


class SqlRemovedDevices:
    """Implements `broker.removed_devices.RemovedDevices`."""

    def __init__(self, database: Database, trail: Trail) -> None:
        self._database, self._trail = database, trail

    async def find(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RemovedPage:
        query = _page(wanted, cursor, limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        found = [RemovedDevice(device_from(row), from_micros(row.removed_at), row.because) for row in rows[:limit]]
        return RemovedPage(found, _next_cursor(rows, limit))

    async def restore(self, user: str, device_id: str) -> Device:
        if not (is_name(user) and is_name(device_id)):
            raise NotFound("removed device")
        act = Act("device.restored", f"device:{device_id}", user)
        return await self._trail.write(partial(_restore, user=user, device_id=device_id), act)

    async def restore_all(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RestoredPage:
        query = _page(wanted, cursor, limit)

        def work(connection: Connection) -> RestoredPage:
            rows = connection.execute(query).all()
            _hold_users(connection, {row.user for row in rows[:limit]})
            page = connection.execute(_SOME, {"among": [row.id for row in rows[:limit]]}).all()
            restored = _put_back(connection, page)
            return RestoredPage(restored, len(page) - restored, _next_cursor(rows, limit))

        rule = {"provider": wanted.provider, "app": wanted.app or ""}
        named = {name: value for name, value in rule.items() if value}
        return await self._trail.write(
            work,
            lambda page: (
                [Act("device.restored", user=wanted.user, details={**named, "count": page.restored})] if page.restored else []
            ),
        )

    async def purge(self, *, before: datetime, limit: int) -> int:
        asked = {"removed_before": to_micros(before), "most": limit}
        ids = await self._database.read(lambda connection: list(connection.execute(_OLDEST, asked).scalars()))
        if not ids:  # looked at first: where nothing is old it costs no write
            return 0
        return await self._database.write(lambda connection: connection.execute(_TAKE_OUT, {"among": ids}).rowcount)


def _restore(connection: Connection, user: str, device_id: str) -> Device:
    _hold_users(connection, {user})
    row = connection.execute(_ONE, {"of_user": user, "of_device": device_id}).one_or_none()
    if row is None:
        raise NotFound("removed device")
    if not _put_back(connection, [row]):
        raise BadInput("user", f"has {MAX_DEVICES} devices already: remove one first")
    return device_from(row)


def _hold_users(connection: Connection, users: Collection[str]) -> None:
    """Let no device be registered for them: registrations of one user are counted one after the other, and take this before
    what was set aside, as everybody does."""
    for user in sorted(users):
        dialect.lock(connection, "devices", user)


def _put_back(connection: Connection, rows: Sequence[Row[Any]]) -> int:
    """Move devices into the registry as long as there is room for their users, who are held; tells how many."""
    users = sorted({row.user for row in rows})
    counts: Counter[str] = Counter()
    for user, count in connection.execute(_COUNTS, {"among": users}) if users else ():
        counts[user] = count
    fitting = []
    for row in rows:
        if counts[row.user] < MAX_DEVICES:
            counts[row.user] += 1
            fitting.append({column.name: row._mapping[column.name] for column in DEVICES.c})
    if fitting:
        # An address that is registered again is none of ours any more; its newer registration stays.
        connection.execute(dialect.upsert(connection, DEVICES).on_conflict_do_nothing(), fitting)
        connection.execute(_TAKE_OUT, {"among": [row["id"] for row in fitting]})
    return len(fitting)


def _page(wanted: RemovedFilter, cursor: str, limit: int) -> Select[Any]:
    """Ask for a page, and one more that tells whether another page follows."""
    rules: list[ColumnElement[bool]] = []
    for column, value in ((_R.user, wanted.user), (_R.provider, wanted.provider), (_R.app, wanted.app)):
        if value or (value is not None and column is _R.app):
            # What could not be stored is nobody's, and is not asked for.
            rules.append(column == value if is_name(value) else literal_column("1") == literal_column("0"))
    if wanted.since is not None:
        rules.append(_R.removed_at >= to_micros(wanted.since))
    if wanted.until is not None:
        rules.append(_R.removed_at < to_micros(wanted.until))
    if cursor:
        at, device_id = _parse_cursor(cursor)
        rules.append(or_(_R.removed_at > at, and_(_R.removed_at == at, _R.id > device_id)))
        rules.append(_R.removed_at >= at)  # what the index is entered by
    return select(REMOVED_DEVICES).where(*rules).order_by(_R.removed_at, _R.id).limit(limit + 1)


def _next_cursor(rows: Sequence[Row[Any]], limit: int) -> str:
    return f"{rows[limit - 1].removed_at} {rows[limit - 1].id}" if len(rows) > limit else ""


def _parse_cursor(cursor: str) -> tuple[int, str]:
    at, _, device_id = cursor.partition(" ")
    if not (at.isascii() and at.isdigit() and len(at) <= 18 and device_id and is_name(device_id)):
        raise BadInput("cursor", "must be the next_cursor of a former page")
    return int(at), device_id
