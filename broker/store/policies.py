"""Policies in all their versions on SQL."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from broker.audit import Act
from broker.errors import NotFound
from broker.policies import Mode, PolicyVersion
from broker.rules import Subject
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.rule_tables import POLICIES
from broker.store.rule_versions import raise_version
from config.clock import Clock

__all__ = ["SqlPolicies"]

_KEPT_VERSIONS: Final = 100
_VERSION_MAX: Final = 2**31 - 1
_P: Final = POLICIES.c
_OF_MODE: Final = select(POLICIES).where(_P.mode == bindparam("of_mode")).order_by(_P.version.desc())
_ONE: Final = select(POLICIES).where(_P.version == bindparam("of_version"))
_LIST: Final = select(_P.version, _P.mode, _P.created_at, _P.comment).order_by(_P.version.desc())
_LAST_KEPT: Final = select(_P.version).where(_P.mode == bindparam("of_mode")).order_by(_P.version.desc()).limit(1)


class SqlPolicies:
    """Implements `broker.policies.Policies`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail, *, kept: int = _KEPT_VERSIONS) -> None:
        self._database, self._clock, self._trail, self._kept = database, clock, trail, kept

    async def put(self, document: bytes, mode: Mode, comment: str) -> int:
        row = {
            "mode": mode.value,
            "created_at": to_micros(self._clock.now()),
            "comment": comment,
            "document": document,
        }
        return await self._trail.write(
            partial(_put, row=row, kept=self._kept),
            lambda version: [Act("policy.set", f"policy:{version}", details={"mode": mode.value, "comment": comment})],
        )

    async def newest(self, mode: Mode) -> PolicyVersion | None:
        query, asked = _OF_MODE.limit(1), {"of_mode": mode.value}
        row = await self._database.read(lambda connection: connection.execute(query, asked).first())
        return None if row is None else _stored(row, row.document)

    async def read(self, version: int) -> PolicyVersion:
        if not 0 < version <= _VERSION_MAX:
            raise NotFound("policy version")
        row = await self._database.read(lambda connection: connection.execute(_ONE, {"of_version": version}).first())
        if row is None:
            raise NotFound("policy version")
        return _stored(row, row.document)

    async def versions(self, *, limit: int) -> Sequence[PolicyVersion]:
        query = _LIST.limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_stored(row, b"") for row in rows]


def _put(connection: Connection, row: dict[str, Any], kept: int) -> int:
    # The subject's number is the version: it rises with nothing else.
    version = raise_version(connection, Subject.POLICY)
    connection.execute(insert(POLICIES), {**row, "version": version})
    oldest = connection.execute(_LAST_KEPT.offset(kept), {"of_mode": row["mode"]}).scalar_one_or_none()
    if oldest is not None:
        connection.execute(delete(POLICIES).where(_P.mode == row["mode"], _P.version <= oldest))
    return version


def _stored(row: Any, document: bytes) -> PolicyVersion:
    return PolicyVersion(row.version, Mode(row.mode), from_micros(row.created_at), row.comment, document)
