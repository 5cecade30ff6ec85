"""The suppression list on SQL."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, delete, or_, select

from broker.audit import Act
from broker.notification import Entry, Outcome, Provider
from broker.store.audit_trail import Trail
from broker.store.bulk import execute_rows, insert_rows
from broker.store.database import Database
from broker.store.dialect import Among, TextList, upsert
from broker.store.moments import from_micros, to_micros
from broker.store.operation_tables import SUPPRESSIONS
from broker.store.rows import ENTRY_COLUMNS, entry_row
from broker.store.schema import ENTRIES, NOTIFICATIONS
from broker.store.texts import is_name
from broker.suppression import Feedback, Suppressed, SuppressionReason
from config.logs import mask_address

__all__ = ["SqlSuppression", "SuppressionRow", "reasons_of", "suppress"]

_S: Final = SUPPRESSIONS.c
# provider, address, reason, detail, at (microseconds), user.
SuppressionRow = tuple[str, str, str, str, int, str]
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_LISTED: Final = select(_S.provider, _S.address, _S.reason).where(Among(_S.address, bindparam("among", type_=TextList())))
_OWNERS: Final = select(NOTIFICATIONS.c.id, NOTIFICATIONS.c.user).where(
    Among(NOTIFICATIONS.c.id, bindparam("among", type_=TextList()))
)
_REMOVE: Final = delete(SUPPRESSIONS).where(_S.provider == bindparam("of_provider"), _S.address == bindparam("of_address"))


class SqlSuppression:
    """Implements `broker.suppression.Suppression`."""

    def __init__(self, database: Database, trail: Trail) -> None:
        self._database, self._trail = database, trail

    async def add(self, feedback: Sequence[Feedback]) -> None:
        if feedback:
            await self._trail.write(partial(_add, feedback=feedback), lambda _: [_added(one) for one in feedback])

    async def remove(self, provider: Provider, address: str) -> bool:
        if not is_name(address):
            return False
        named = {"of_provider": provider.value, "of_address": address}
        act = Act("suppression.removed", _resource(provider, address))
        return await self._trail.write(
            lambda connection: connection.execute(_REMOVE, named).rowcount > 0, lambda is_removed: [act] if is_removed else []
        )

    async def find(self, provider: str = "", *, after: str = "", limit: int) -> Sequence[Suppressed]:
        query = select(SUPPRESSIONS).order_by(_S.provider, _S.address).limit(limit)
        if provider:
            query = query.where(_S.provider == provider)
        if after and is_name(after):
            kind, _, address = after.partition(" ")
            query = query.where(or_(_S.provider > kind, and_(_S.provider == kind, _S.address > address)))
        return await self._database.read(lambda connection: [_suppressed(row) for row in connection.execute(query)])


def _added(one: Feedback) -> Act:
    told = one.suppressed
    return Act("suppression.added", _resource(told.provider, told.address), details={"reason": told.reason.value})


def _resource(provider: Provider, address: str) -> str:
    return f"address:{provider}:{mask_address(address)}"


def suppress(connection: Connection, rows: Sequence[SuppressionRow]) -> None:
    """Put addresses on the list within a transaction; in one order for all who put more than one."""
    if rows:
        names = ("provider", "address", "reason", "detail", "at", "user")
        insert = upsert(connection, SUPPRESSIONS).on_conflict_do_nothing(index_elements=[_S.provider, _S.address])
        connection.execute(insert, [dict(zip(names, row, strict=True)) for row in sorted(rows)])


def reasons_of(connection: Connection, addresses: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Tell why which of these (provider, address) are left alone; addresses as they are compared."""
    found = connection.execute(_LISTED, {"among": sorted({address for _, address in addresses})})
    return {(row.provider, row.address): row.reason for row in found}


def _add(connection: Connection, feedback: Sequence[Feedback]) -> None:
    named = sorted({one.notification_id for one in feedback if one.notification_id and is_name(one.notification_id)})
    owners = {row.id: row.user for row in connection.execute(_OWNERS, {"among": named})} if named else {}
    suppress(connection, [_row(one.suppressed, owners.get(one.notification_id, "")) for one in feedback])
    lines = [entry_row(one.notification_id, _line(one.suppressed)) for one in feedback if one.notification_id in owners]
    execute_rows(connection, _WRITE, lines)


def _row(one: Suppressed, user: str) -> SuppressionRow:
    return (one.provider.value, one.address, one.reason.value, one.detail.replace("\0", ""), to_micros(one.at), user)


def _line(one: Suppressed) -> Entry:
    detail = f"{one.reason} told by the provider {one.detail}".strip()
    return Entry(one.provider.route, Outcome.SUPPRESSED, one.at, one.provider, mask_address(one.address), detail=detail)


def _suppressed(row: Row[Any]) -> Suppressed:
    return Suppressed(Provider(row.provider), row.address, SuppressionReason(row.reason), from_micros(row.at), row.detail)
