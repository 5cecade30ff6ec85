"""What operators have said otherwise for a while, on SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, select

from broker.audit import Act
from broker.caller import SYSTEM, caller
from broker.errors import BadInput, NotFound
from broker.overrides import KINDS, MAX_OVERRIDES, Kind, Override, OverrideDraft, Value
from broker.rules import Subject
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.override_table import OVERRIDES
from broker.store.rule_versions import raise_version
from broker.store.texts import check_name, is_name
from config.clock import Clock

__all__ = ["SqlOverrides"]

_O: Final = OVERRIDES.c
_VALUE: Final = msgspec.json.Decoder(Value)
_ALL: Final = select(OVERRIDES).where(_O.expires_at > bindparam("now")).order_by(_O.kind, _O.target)
# Locked in one order by all: whoever comes second waits, and finds those gone that the first one has forgotten.
_PAST: Final = select(OVERRIDES).where(_O.expires_at <= bindparam("now")).order_by(_O.kind, _O.target).with_for_update()
_FORGET: Final = delete(OVERRIDES).where(_O.kind == bindparam("of_kind"), _O.target == bindparam("of_target"))
_COUNT: Final = select(func.count()).select_from(OVERRIDES)
_REMOVE: Final = delete(OVERRIDES).where(
    _O.kind == bindparam("of_kind"), _O.target == bindparam("of_target"), _O.expires_at > bindparam("now")
)


class SqlOverrides:
    """Implements `broker.overrides.Overrides`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail, *, most: int = MAX_OVERRIDES) -> None:
        self._database, self._clock, self._trail, self._most = database, clock, trail, most

    async def set(self, draft: OverrideDraft) -> tuple[Override, int]:
        for field, text in (("target", draft.target), ("reason", draft.reason)):
            check_name(field, text)
        now = self._clock.now()
        # They take no room, and their ends are written down before their places are taken. Both go by one moment: what ends
        # after it is one that this takes the place of.
        await self._end_past(now)
        actor = caller().actor
        set_by = f"{actor.kind}:{actor.name}" if actor.name else str(actor.kind)
        made = Override(**msgspec.structs.asdict(draft), set_at=now, set_by=set_by)
        row = {
            **msgspec.structs.asdict(made),
            "kind": made.kind.value,
            "value": msgspec.json.encode(made.value),
            "set_at": to_micros(made.set_at),
            "expires_at": to_micros(made.expires_at),
        }

        def work(connection: Connection) -> int:
            version = raise_version(connection, Subject.OVERRIDES)  # first: two who set some take turns
            others = _COUNT.where((_O.kind != row["kind"]) | (_O.target != row["target"]))
            if connection.execute(others).scalar_one() >= self._most:
                raise BadInput("kind", f"is one more than the {self._most} overrides that there may be: remove one first")
            insertion = dialect.upsert(connection, OVERRIDES).values(row)
            connection.execute(insertion.on_conflict_do_update(index_elements=[_O.kind, _O.target], set_=row))
            return version

        details = {"value": made.value, "reason": made.reason, "expires_at": made.expires_at.isoformat(timespec="seconds")}
        return made, await self._trail.write(work, Act("override.set", _resource(made.kind, made.target), details=details))

    async def remove(self, kind: Kind, target: str) -> int:
        if not is_name(target):
            raise NotFound("override")
        asked = {"of_kind": kind.value, "of_target": target, "now": to_micros(self._clock.now())}

        def work(connection: Connection) -> int:
            version = raise_version(connection, Subject.OVERRIDES)
            if not connection.execute(_REMOVE, asked).rowcount:
                raise NotFound("override")
            return version

        return await self._trail.write(work, Act("override.removed", _resource(kind, target)))

    async def all(self) -> Sequence[Override]:
        asked = {"now": to_micros(self._clock.now())}
        rows = await self._database.read(lambda connection: connection.execute(_ALL, asked).all())
        # What a newer version knows and this one does not is none of its business.
        return [_override(row) for row in rows if row.kind in {kind.value for kind in KINDS}]

    async def end_past(self) -> int:
        return await self._end_past(self._clock.now())

    async def _end_past(self, now: datetime) -> int:
        def work(connection: Connection) -> Sequence[Row[Any]]:
            past = connection.execute(_PAST, {"now": to_micros(now)}).all()
            if past:
                connection.execute(_FORGET, [{"of_kind": row.kind, "of_target": row.target} for row in past])
            return past

        ended = await self._trail.write(work, lambda past: [_ended(row) for row in past], by=SYSTEM)
        return len(ended)


def _resource(kind: str, target: str) -> str:
    return f"override:{kind}:{target}" if target else f"override:{kind}"


def _ended(row: Row[Any]) -> Act:
    """Tell of an end. Kinds of a newer version end as well, so that their values are taken as they are."""
    moments = {name: from_micros(getattr(row, name)).isoformat(timespec="seconds") for name in ("set_at", "expires_at")}
    details = {"value": msgspec.json.decode(row.value), "reason": row.reason, **moments}
    return Act("override.ended", _resource(row.kind, row.target), details=details)


def _override(row: Row[Any]) -> Override:
    moments = from_micros(row.set_at), from_micros(row.expires_at)
    return Override(Kind(row.kind), row.target, _VALUE.decode(row.value), row.reason, *moments, row.set_by)
