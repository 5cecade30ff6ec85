"""Keys of the API on SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

from broker.api_keys import KEYS_MAX, ApiKey, ApiKeyGrant
from broker.audit import Act
from broker.errors import BadInput, NotFound
from broker.rules import Subject
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.rule_tables import API_KEYS
from broker.store.rule_versions import raise_version
from broker.store.texts import is_name

__all__ = ["SqlApiKeys"]

_K: Final = API_KEYS.c
_GRANT: Final = msgspec.json.Decoder(ApiKeyGrant)
_ALL: Final = select(API_KEYS).order_by(_K.name)
_REMOVE: Final = delete(API_KEYS).where(_K.id == bindparam("of_id"))
# Every value of the row that was is read before any is written.
_ROTATE: Final = (
    update(API_KEYS)
    .where(_K.id == bindparam("of_id"))
    .values(
        hash=bindparam("new_hash"),
        previous_hash=_K.hash,
        previous_until=bindparam("until"),
        rotated_at=bindparam("at"),
    )
)
_NOTE_USE: Final = (
    update(API_KEYS)
    .where(_K.id == bindparam("of_id"), or_(_K.last_used_at.is_(None), _K.last_used_at < bindparam("at")))
    .values(last_used_at=bindparam("at"))
)


class SqlApiKeys:
    """Implements `broker.api_keys.ApiKeys`."""

    def __init__(self, database: Database, trail: Trail, *, most: int = KEYS_MAX) -> None:
        self._database, self._trail, self._most = database, trail, most

    async def add(self, key: ApiKey) -> int:
        details = {name: ",".join(getattr(key.grant, name)) for name in ("methods", "channels")}
        act = Act("api_key.created", _resource(key.id), details={"name": key.grant.name, "role": key.grant.role, **details})
        return await self._trail.write(partial(_add, key=key, most=self._most), act)

    async def rotate(self, key_id: str, new_hash: bytes, *, at: datetime, previous_until: datetime) -> int:
        given = {"of_id": key_id, "new_hash": new_hash, "at": to_micros(at), "until": to_micros(previous_until)}
        return await self._change(key_id, "api_key.rotated", partial(_run, statement=_ROTATE, given=given))

    async def revoke(self, key_id: str) -> int:
        return await self._change(key_id, "api_key.revoked", partial(_run, statement=_REMOVE, given={"of_id": key_id}))

    async def all(self) -> Sequence[ApiKey]:
        rows = await self._database.read(lambda connection: connection.execute(_ALL).all())
        return [_key(row) for row in rows]

    async def note_use(self, last_used_at_by_id: Mapping[str, datetime]) -> None:
        given = [{"of_id": key_id, "at": to_micros(at)} for key_id, at in sorted(last_used_at_by_id.items())]
        if given:
            await self._database.write(lambda connection: [connection.execute(_NOTE_USE, one) for one in given])

    async def _change(self, key_id: str, action: str, work: Any) -> int:
        if not is_name(key_id):
            raise NotFound("API key")
        return int(await self._trail.write(work, Act(action, _resource(key_id))))


def _resource(key_id: str) -> str:
    return f"api_key:{key_id}"


def _run(connection: Connection, statement: Any, given: Mapping[str, Any]) -> int:
    version = raise_version(connection, Subject.API_KEYS)
    if not connection.execute(statement, given).rowcount:
        raise NotFound("API key")
    return version


def _add(connection: Connection, key: ApiKey, most: int) -> int:
    version = raise_version(connection, Subject.API_KEYS)  # first: two who add keys take turns
    if connection.execute(select(func.count()).select_from(API_KEYS)).scalar_one() >= most:
        raise BadInput("name", f"is one more than the {most} keys that there may be: revoke one first")
    if connection.execute(select(_K.id).where(_K.name == key.grant.name)).first() is not None:
        raise BadInput("name", "is that of another key")
    row = {
        "id": key.id,
        "name": key.grant.name,
        "body": msgspec.json.encode(key.grant),
        "hash": key.hash,
        "created_at": to_micros(key.created_at),
        "previous_hash": key.previous_hash,
        "previous_until": _micros(key.previous_until),
        "rotated_at": _micros(key.rotated_at),
        "last_used_at": _micros(key.last_used_at),
    }
    connection.execute(insert(API_KEYS), row)
    return version


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id,
        _GRANT.decode(row.body),
        row.hash,
        from_micros(row.created_at),
        row.previous_hash,
        _moment(row.previous_until),
        _moment(row.rotated_at),
        _moment(row.last_used_at),
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
