"""Roles, and who has them, on SQL."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select

from broker.audit import Act
from broker.errors import BadInput, NotFound
from broker.roles import ASSIGNED_MAX, ROLES_MAX, Role
from broker.rules import Subject
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.rule_tables import ROLE_ASSIGNMENTS, ROLES
from broker.store.rule_versions import raise_version
from broker.store.texts import check_name, is_name

__all__ = ["SqlRoles"]

_R: Final = ROLES.c
_A: Final = ROLE_ASSIGNMENTS.c
_PERMISSIONS: Final = msgspec.json.Decoder(tuple[str, ...])
_ALL: Final = select(ROLES).order_by(_R.name)
_ASSIGNMENTS: Final = select(ROLE_ASSIGNMENTS).order_by(_A.user, _A.role)
_REMOVE: Final = delete(ROLES).where(_R.name == bindparam("of_role"))
_REMOVE_OF_ROLE: Final = delete(ROLE_ASSIGNMENTS).where(_A.role == bindparam("of_role"))
_UNASSIGN: Final = delete(ROLE_ASSIGNMENTS).where(_A.user == bindparam("of_user"), _A.role == bindparam("of_role"))
_HAS_SOME: Final = select(_A.role).where(_A.user == bindparam("of_user")).limit(1)


class SqlRoles:
    """Implements `broker.roles.Roles`."""

    def __init__(self, database: Database, trail: Trail, *, most: int = ROLES_MAX, most_assigned: int = ASSIGNED_MAX) -> None:
        self._database, self._trail, self._most, self._most_assigned = database, trail, most, most_assigned

    async def set(self, role: Role) -> int:
        act = Act("role.set", f"role:{role.name}", details={"permissions": "; ".join(role.permissions)})
        return await self._trail.write(partial(_set, role=role, most=self._most), act)

    async def remove(self, name: str) -> int:
        return await self._taken_back(Act("role.removed", f"role:{name}"), name, "", partial(_remove, name=name))

    async def all(self) -> Sequence[Role]:
        rows = await self._database.read(lambda connection: connection.execute(_ALL).all())
        return [Role(row.name, _PERMISSIONS.decode(row.body)) for row in rows]

    async def assign(self, user: str, role: str) -> int:
        check_name("user", user)
        work = partial(_assign, user=user, role=role, most=self._most_assigned)
        return await self._trail.write(work, Act("role.assigned", f"role:{role}", user))

    async def unassign(self, user: str, role: str) -> int:
        act = Act("role.unassigned", f"role:{role}", user)
        return await self._taken_back(act, role, user, partial(_unassign, user=user, role=role))

    async def assignments(self) -> Mapping[str, tuple[str, ...]]:
        rows = await self._database.read(lambda connection: connection.execute(_ASSIGNMENTS).all())
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            found[row.user] = (*found.get(row.user, ()), row.role)
        return found

    async def _taken_back(self, act: Act, role: str, user: str, work: Any) -> int:
        if not is_name(role) or not is_name(user):
            raise NotFound("role")
        return int(await self._trail.write(work, act))


def _set(connection: Connection, role: Role, most: int) -> int:
    version = raise_version(connection, Subject.ROLES)  # first: two who change roles take turns
    others = select(func.count()).select_from(ROLES).where(_R.name != role.name)
    if connection.execute(others).scalar_one() >= most:
        raise BadInput("name", f"is one more than the {most} roles that there may be: remove one first")
    body = msgspec.json.encode(role.permissions)
    insertion = dialect.upsert(connection, ROLES).values(name=role.name, body=body)
    connection.execute(insertion.on_conflict_do_update(index_elements=[_R.name], set_={"body": body}))
    return version


def _remove(connection: Connection, name: str) -> int:
    version = raise_version(connection, Subject.ROLES)
    if not connection.execute(_REMOVE, {"of_role": name}).rowcount:
        raise NotFound("role")
    connection.execute(_REMOVE_OF_ROLE, {"of_role": name})
    return version


def _assign(connection: Connection, user: str, role: str, most: int) -> int:
    version = raise_version(connection, Subject.ROLES)
    if connection.execute(_HAS_SOME, {"of_user": user}).first() is None:
        assigned = select(func.count(func.distinct(_A.user)))
        if connection.execute(assigned).scalar_one() >= most:
            raise BadInput("user", f"is one more than the {most} that may have roles here: write roles into tokens")
    insertion = dialect.upsert(connection, ROLE_ASSIGNMENTS).values(user=user, role=role)
    connection.execute(insertion.on_conflict_do_nothing(index_elements=[_A.user, _A.role]))
    return version


def _unassign(connection: Connection, user: str, role: str) -> int:
    version = raise_version(connection, Subject.ROLES)
    if not connection.execute(_UNASSIGN, {"of_user": user, "of_role": role}).rowcount:
        raise NotFound("role")
    return version
