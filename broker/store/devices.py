"""The devices on SQL."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, func, not_, select

from broker.audit import Act
from broker.devices import MAX_DEVICES, DeviceFilter, Registration
from broker.errors import BadInput
from broker.notification import Device
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import to_micros
from broker.store.removed_devices import forget_address
from broker.store.removed_devices_table import REMOVED_DEVICES
from broker.store.rows import device_from
from broker.store.schema import DEVICES
from broker.store.texts import check_name, is_name
from config.clock import Clock

__all__ = ["SqlDevices"]

_D: Final = DEVICES.c
_RENEWED: Final = ("user", "platform", "locale", "timezone", "app", "registered_at")
_OTHERS: Final = select(func.count()).where(
    _D.user == bindparam("user"),
    not_(and_(_D.provider == bindparam("provider"), _D.token_digest == bindparam("token_digest"))),
)
_OF_USER: Final = select(DEVICES).where(_D.user == bindparam("user")).order_by(_D.registered_at, _D.id)
# Who removes devices means those as well that a provider called gone, and that could be restored.
_KEPT_IN: Final = (DEVICES, REMOVED_DEVICES)
_REMOVES: Final = [
    delete(table).where(table.c.id == bindparam("of_device"), table.c.user == bindparam("of_user")) for table in _KEPT_IN
]


class SqlDevices:
    """Implements `broker.devices.Devices`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail) -> None:
        self._database, self._clock, self._trail = database, clock, trail

    async def register(self, registration: Registration) -> Device:
        check_name("user", registration.user)
        now = self._clock.now()
        row = {
            "id": str(self._clock.new_id()),
            "user": registration.user,
            "provider": registration.provider.value,
            "token_digest": hashlib.sha256(registration.token.encode()).digest(),
            "token": registration.token,
            "platform": registration.platform,
            "locale": registration.locale,
            "timezone": registration.timezone,
            "registered_at": to_micros(now),
            "app": registration.app,
        }
        device_id = await self._trail.write(
            lambda connection: _register(connection, row), lambda device_id: [_registered(device_id, registration)]
        )
        return Device(
            device_id,
            registration.user,
            registration.provider,
            registration.token,
            registration.platform,
            now,
            registration.locale,
            registration.timezone,
            registration.app,
        )

    async def of_user(self, user: str) -> Sequence[Device]:
        if not is_name(user):
            return ()
        return await self._database.read(
            lambda connection: [device_from(row) for row in connection.execute(_OF_USER, {"user": user})]
        )

    async def remove(self, user: str, device_id: str) -> bool:
        if not (is_name(user) and is_name(device_id)):
            return False
        named = {"of_user": user, "of_device": device_id}
        act = Act("device.removed", f"device:{device_id}", user)
        return await self._trail.write(
            lambda connection: _remove(connection, named), lambda is_removed: [act] if is_removed else []
        )

    async def find(self, wanted: DeviceFilter, *, after: str = "", limit: int) -> Sequence[Device]:
        if not is_name(after):
            return ()
        query = select(DEVICES).where(*_rules(wanted), _D.id > after).order_by(_D.id).limit(limit)
        return await self._database.read(lambda connection: [device_from(row) for row in connection.execute(query)])

    async def count(self, wanted: DeviceFilter) -> int:
        query = select(func.count()).select_from(DEVICES).where(*_rules(wanted))
        return await self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def remove_all(self, wanted: DeviceFilter) -> int:
        assert _rules(wanted), "a filter without a rule means every device"
        return await self._trail.write(
            lambda connection: _remove_all(connection, wanted),
            lambda count: _all_removed(wanted, count),
        )


def _rules(wanted: DeviceFilter, table: Table = DEVICES) -> list[ColumnElement[bool]]:
    """Write a filter as conditions. What could not be stored is nobody's, and is not asked for."""
    c = table.c
    listed = ((c.id, wanted.ids), (c.user, wanted.users), (c.provider, wanted.providers), (c.platform, wanted.platforms))
    return [column.in_([value for value in values if is_name(value)]) for column, values in listed if values]


def _registered(device_id: str, registration: Registration) -> Act:
    details = {"provider": registration.provider.value, "platform": registration.platform}
    if registration.app:
        details["app"] = registration.app
    return Act("device.registered", f"device:{device_id}", registration.user, details=details)


def _all_removed(wanted: DeviceFilter, count: int) -> list[Act]:
    """Tell of a removal by rule: one act for each user or device that the rule names, else one of the rule."""
    if not count:
        return []
    rule = {"providers": ", ".join(wanted.providers), "platforms": ", ".join(wanted.platforms), "count": count}
    details = {name: value for name, value in rule.items() if value}
    devices = [f"device:{device_id}" for device_id in wanted.ids] or [""]
    users = list(wanted.users) or [""]
    if len(devices) > 1 and len(users) > 1:
        devices = [""]  # which of them was whose is not known
    return [Act("device.removed", device, user, details=details) for user in users for device in devices]


def _remove(connection: Connection, named: Mapping[str, str]) -> bool:
    counts = [connection.execute(remove, named).rowcount for remove in _REMOVES]  # each of them is executed
    return any(counts)


def _remove_all(connection: Connection, wanted: DeviceFilter) -> int:
    """Remove by rule; tells how many of them were registered."""
    counts = [connection.execute(delete(table).where(*_rules(wanted, table))).rowcount for table in _KEPT_IN]
    return counts[0]


def _register(connection: Connection, row: Mapping[str, Any]) -> str:
    """Store or renew an address; tell its id."""
    dialect.lock(connection, "devices", row["user"])  # two new addresses of one user are counted one after the other
    asked = {name: row[name] for name in ("user", "provider", "token_digest")}
    if connection.execute(_OTHERS, asked).scalar_one() >= MAX_DEVICES:
        raise BadInput("user", f"has {MAX_DEVICES} devices already: remove one first")
    insert = dialect.upsert(connection, DEVICES).values(row)
    insert = insert.on_conflict_do_update(
        index_elements=[_D.provider, _D.token_digest], set_={name: insert.excluded[name] for name in _RENEWED}
    )
    device_id = str(connection.execute(insert.returning(_D.id)).scalar_one())
    forget_address(connection, row["provider"], row["token_digest"])
    return device_id
