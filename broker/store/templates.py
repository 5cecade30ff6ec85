"""The templates on SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, func, insert, null, or_, select

from broker.audit import Act
from broker.errors import BadInput, NotFound
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.template_table import TEMPLATES
from broker.store.texts import is_name
from broker.templates import MAX_TEXTS, StoredText, TemplateKey, TemplateText
from config.clock import Clock

__all__ = ["SqlTemplates"]

_KEPT_VERSIONS: Final = 100
_T: Final = TEMPLATES.c
_LATER: Final = TEMPLATES.alias("later")
_DECODER: Final = msgspec.json.Decoder(TemplateText)
_UNREAD: Final = TemplateText()

_NEWEST: Final = select(func.max(_T.version)).where(_T.name == bindparam("name"))
_OF_KEY: Final = and_(_T.name == bindparam("name"), _T.locale == bindparam("locale"), _T.route == bindparam("route"))
_VERSIONS: Final = (
    select(_T.version, _T.created_at, _T.text.is_(None).label("is_removed")).where(_OF_KEY).order_by(_T.version.desc())
)


def _is_newest(*bounds: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a row is the newest of its text within bounds on `_LATER`, and has not removed it."""
    newest = (
        select(func.max(_LATER.c.version))
        .where(_LATER.c.name == _T.name, _LATER.c.locale == _T.locale, _LATER.c.route == _T.route, *bounds)
        .correlate(TEMPLATES)
        .scalar_subquery()
    )
    return and_(_T.version == newest, _T.text.is_not(None))


_AT_VERSION: Final = select(TEMPLATES).where(_T.name == bindparam("name"), _is_newest(_LATER.c.version <= bindparam("version")))
_STANDING: Final = select(_T.locale, _T.route).where(_T.name == bindparam("name"), _is_newest())


class SqlTemplates:
    """Implements `broker.templates.Templates`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail) -> None:
        self._database, self._clock, self._trail = database, clock, trail

    async def put(self, key: TemplateKey, text: TemplateText) -> int:
        now, encoded = to_micros(self._clock.now()), msgspec.json.encode(text)
        named = {"locale": key.locale, "route": key.route}
        return await self._trail.write(
            lambda connection: _put(connection, key, encoded, now),
            lambda version: [Act("template.put", f"template:{key.name}", details={**named, "version": version})],
        )

    async def remove(self, name: str, *, locale: str | None = None, route: str | None = None) -> int:
        _require_name(name)
        now = to_micros(self._clock.now())
        named = {part: value for part, value in (("locale", locale), ("route", route)) if value is not None}
        return await self._trail.write(
            lambda connection: _remove(connection, name, locale, route, now),
            lambda version: [Act("template.removed", f"template:{name}", details={**named, "version": version})],
        )

    async def read(self, key: TemplateKey, version: int | None = None) -> StoredText:
        _require_name(key.name)
        query = select(TEMPLATES).where(_OF_KEY).order_by(_T.version.desc()).limit(1)
        if version is not None:
            query = query.where(_T.version == version)
        row = await self._database.read(lambda connection: connection.execute(query, _named(key)).first())
        if row is None or row.text is None:
            raise NotFound("template" if version is None else "template in this version")
        return _stored(row)

    async def versions(self, key: TemplateKey) -> Sequence[StoredText]:
        rows = await self._database.read(lambda connection: connection.execute(_VERSIONS, _named(key)).all())
        return [StoredText(key, row.version, from_micros(row.created_at), None if row.is_removed else _UNREAD) for row in rows]

    async def find(self, name: str = "", *, after: TemplateKey | None = None, limit: int) -> Sequence[StoredText]:
        query = select(_T.name, _T.locale, _T.route, _T.version, _T.created_at).where(_is_newest())
        if name:
            query = query.where(_T.name == name)
        if after is not None:
            query = query.where(_is_behind(after))
        query = query.order_by(_T.name, _T.locale, _T.route).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            StoredText(TemplateKey(row.name, row.locale, row.route), row.version, from_micros(row.created_at), _UNREAD)
            for row in rows
        ]

    async def newest(self, name: str) -> int:
        if not is_name(name):
            return 0
        return await self._database.read(lambda connection: connection.execute(_NEWEST, {"name": name}).scalar_one() or 0)

    async def texts(self, name: str, version: int) -> Mapping[tuple[str, str], StoredText]:
        if not is_name(name):
            return {}
        asked = {"name": name, "version": version}
        rows = await self._database.read(lambda connection: connection.execute(_AT_VERSION, asked).all())
        return {(row.locale, row.route): _stored(row) for row in rows}


def _put(connection: Connection, key: TemplateKey, text: bytes, now: int) -> int:
    dialect.lock(connection, "templates", key.name)  # two puts of one name make two versions
    standing = {(row.locale, row.route) for row in connection.execute(_STANDING, {"name": key.name})}
    if len(standing | {(key.locale, key.route)}) > MAX_TEXTS:
        raise BadInput("name", f"has {MAX_TEXTS} texts already: remove one first")
    version = _next_version(connection, key.name)
    connection.execute(insert(TEMPLATES), {**_named(key), "version": version, "created_at": now, "text": text})
    oldest = select(_T.version).where(_OF_KEY).order_by(_T.version.desc()).offset(_KEPT_VERSIONS).limit(1)
    if (last := connection.execute(oldest, _named(key)).scalar_one_or_none()) is not None:
        connection.execute(delete(TEMPLATES).where(_OF_KEY, _T.version <= last), _named(key))
    return version


def _remove(connection: Connection, name: str, locale: str | None, route: str | None, now: int) -> int:
    dialect.lock(connection, "templates", name)
    standing = connection.execute(_STANDING, {"name": name}).all()
    meant = [row for row in standing if locale in (None, row.locale) and route in (None, row.route)]
    if not meant:
        raise NotFound("template")
    version = _next_version(connection, name)
    gone = {"name": name, "version": version, "created_at": now}
    # NULL is written out: a parameter of None would be JSON's or the driver's to understand.
    rows = [{**gone, "locale": row.locale, "route": row.route} for row in meant]
    connection.execute(insert(TEMPLATES).values(text=null()), rows)
    return version


def _next_version(connection: Connection, name: str) -> int:
    return int(connection.execute(_NEWEST, {"name": name}).scalar_one() or 0) + 1


def _is_behind(after: TemplateKey) -> ColumnElement[bool]:
    return or_(
        _T.name > after.name,
        and_(_T.name == after.name, _T.locale > after.locale),
        and_(_T.name == after.name, _T.locale == after.locale, _T.route > after.route),
    )


def _named(key: TemplateKey) -> dict[str, Any]:
    return {"name": key.name, "locale": key.locale, "route": key.route}


def _require_name(name: str) -> None:
    if not is_name(name):
        raise NotFound("template")


def _stored(row: Row[Any]) -> StoredText:
    key = TemplateKey(row.name, row.locale, row.route)
    text = None if row.text is None else _DECODER.decode(row.text)
    return StoredText(key, row.version, from_micros(row.created_at), text)
