"""Families of refresh tokens on SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from broker.audit import Act
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.texts import check_name, is_name
from broker.store.token_tables import TOKEN_FAMILIES
from broker.token_families import EndReason, TokenFamily

__all__ = ["SqlTokenFamilies"]

_F: Final = TOKEN_FAMILIES.c
_PURGE: Final = 100
_INSERT: Final = insert(TOKEN_FAMILIES)
_FIND: Final = select(TOKEN_FAMILIES).where(_F.id == bindparam("of_id"))
_OF_USER: Final = (
    select(TOKEN_FAMILIES).where(_F.user == bindparam("of_user")).order_by(_F.created_at.desc(), _F.id).limit(bindparam("most"))
)
_OPEN_OF_USER: Final = _OF_USER.where(_F.ended_at.is_(None))
_OVER: Final = (
    select(_F.id)
    .where(_F.token_expires_at <= bindparam("now"))
    .order_by(_F.token_expires_at)
    .limit(_PURGE)
    .with_for_update(skip_locked=True)
)
_REMOVE: Final = delete(TOKEN_FAMILIES).where(_F.id.in_(_OVER))
# All of a rotation: who comes second finds another generation.
_ROTATE: Final = (
    update(TOKEN_FAMILIES)
    .where(
        _F.id == bindparam("of_id"),
        _F.generation == bindparam("from_generation"),
        _F.digest == bindparam("from_digest"),
        _F.ended_at.is_(None),
        _F.token_expires_at > bindparam("at"),
        _F.expires_at > bindparam("at"),
    )
    .values(
        generation=_F.generation + 1,
        digest=bindparam("to_digest"),
        rotated_at=bindparam("at"),
        token_expires_at=bindparam("until"),
    )
)
_END: Final = (
    update(TOKEN_FAMILIES)
    .where(_F.id == bindparam("of_id"), _F.ended_at.is_(None))
    .values(ended_at=bindparam("at"), reason=bindparam("why"))
)


class SqlTokenFamilies:
    """Implements `broker.token_families.TokenFamilies`."""

    def __init__(self, database: Database, trail: Trail) -> None:
        self._database, self._trail = database, trail

    async def open(self, family: TokenFamily) -> None:
        check_name("user", family.user)
        now = to_micros(family.created_at)

        def work(connection: Connection) -> None:
            connection.execute(_REMOVE, {"now": now})
            connection.execute(_INSERT, _row(family))

        await self._trail.write(work, Act("token_family.opened", _resource(family.id), family.user))

    async def find(self, family_id: str) -> TokenFamily | None:
        return await self._database.read(lambda connection: _find(connection, family_id)) if is_name(family_id) else None

    async def rotate(self, family: TokenFamily, digest: bytes, *, at: datetime, token_expires_at: datetime) -> bool:
        given = {
            "of_id": family.id,
            "from_generation": family.generation,
            "from_digest": family.digest,
            "to_digest": digest,
            "at": to_micros(at),
            "until": to_micros(min(token_expires_at, family.expires_at)),
        }
        return await self._database.write(lambda connection: connection.execute(_ROTATE, given).rowcount == 1)

    async def end(self, family_id: str, reason: EndReason, *, at: datetime) -> TokenFamily | None:
        if not is_name(family_id):
            return None
        given = {"of_id": family_id, "at": to_micros(at), "why": reason.value}

        def work(connection: Connection) -> tuple[TokenFamily | None, bool]:
            is_first = connection.execute(_END, given).rowcount > 0
            return _find(connection, family_id), is_first

        family, _ = await self._trail.write(work, lambda answer: _acts_of_end(*answer, reason))
        return family

    async def of_user(self, user: str, *, limit: int, only_open: bool = False) -> Sequence[TokenFamily]:
        if not is_name(user):
            return []
        query, asked = _OPEN_OF_USER if only_open else _OF_USER, {"of_user": user, "most": limit}
        return await self._database.read(lambda connection: [_family(row) for row in connection.execute(query, asked)])


def _resource(family_id: str) -> str:
    return f"token_family:{family_id}"


def _acts_of_end(family: TokenFamily | None, is_first: bool, reason: EndReason) -> Sequence[Act]:
    if family is None or not is_first:
        return ()
    return (Act("token_family.ended", _resource(family.id), family.user, details={"reason": reason.value}),)


def _find(connection: Connection, family_id: str) -> TokenFamily | None:
    row = connection.execute(_FIND, {"of_id": family_id}).one_or_none()
    return None if row is None else _family(row)


_MOMENTS: Final = ("created_at", "rotated_at", "token_expires_at", "expires_at")
_PLAIN: Final = ("id", "user", "claims", "access_ttl_s", "salt", "generation", "digest", "reason")


def _row(family: TokenFamily) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(family, name) for name in _PLAIN}
    row |= {name: to_micros(getattr(family, name)) for name in _MOMENTS}
    return row | {"ended_at": None if family.ended_at is None else to_micros(family.ended_at)}


def _family(row: Row[Any]) -> TokenFamily:
    values: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    values |= {name: from_micros(getattr(row, name)) for name in _MOMENTS}
    return TokenFamily(**values, ended_at=None if row.ended_at is None else from_micros(row.ended_at))
