"""Words about who is not let in, on SQL."""

import math
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, delete, select

from broker.revocation_records import RevocationWord, WordKind
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.moments import to_micros
from broker.store.texts import check_name, is_name
from broker.store.token_tables import REVOCATIONS
from config.clock import Clock

__all__ = ["SqlRevocationRecords"]

_R: Final = REVOCATIONS.c
_KEY: Final = (_R.kind, _R.subject, _R.channel)
_FOR_EVER: Final = 2**62
_MICROS: Final = 1_000_000
_LIVING: Final = select(REVOCATIONS).where(_R.until > bindparam("now")).order_by(*_KEY)
_FORGET: Final = delete(REVOCATIONS).where(_R.until <= bindparam("now"))
_UNBLOCK: Final = delete(REVOCATIONS).where(_R.kind == WordKind.BLOCK.value, _R.subject == bindparam("of_user"))


class SqlRevocationRecords:
    """Implements `broker.revocation_records.RevocationRecords`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def keep(self, word: RevocationWord) -> None:
        check_name("user" if word.kind is not WordKind.TOKEN else "uid", word.subject)
        check_name("channel", word.channel)
        now = self._now()
        await self._database.write(lambda connection: _keep(connection, word, now))

    async def forget_block(self, user: str) -> None:
        if is_name(user):
            await self._database.write(lambda connection: connection.execute(_UNBLOCK, {"of_user": user}).rowcount)

    async def all(self) -> Sequence[RevocationWord]:
        asked = {"now": self._now()}
        rows = await self._database.read(lambda connection: connection.execute(_LIVING, asked).all())
        return [_word(row) for row in rows]

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _keep(connection: Connection, word: RevocationWord, now: int) -> None:
    connection.execute(_FORGET, {"now": now})
    row = {
        "kind": word.kind.value,
        "subject": word.subject,
        "channel": word.channel,
        "issued_before": _micros(word.issued_before),
        "until": _micros(word.until),
    }
    insert = upsert(connection, REVOCATIONS).values(row)
    # The latest word about a block counts; one about tokens only ever refuses more, and for longer.
    renewed: dict[str, ColumnElement[Any]] = {
        name: insert.excluded[name]
        if word.kind is WordKind.BLOCK
        else case((insert.excluded[name] > _R[name], insert.excluded[name]), else_=_R[name])
        for name in ("issued_before", "until")
    }
    connection.execute(insert.on_conflict_do_update(index_elements=list(_KEY), set_=renewed))


def _word(row: Row[Any]) -> RevocationWord:
    until = math.inf if row.until >= _FOR_EVER else row.until / _MICROS
    return RevocationWord(WordKind(row.kind), row.subject, until, row.channel, row.issued_before / _MICROS)


def _micros(seconds: float) -> int:
    """Write Unix seconds; rounded up, so that what is kept refuses no less than what was said."""
    return _FOR_EVER if seconds * _MICROS >= _FOR_EVER else math.ceil(seconds * _MICROS)
