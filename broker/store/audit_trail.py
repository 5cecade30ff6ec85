"""How the store's parts tell the audit: in the transaction that does what they tell of, so that both hold or neither does."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, insert

from broker.audit import Act, AuditRecord, Decision
from broker.caller import Actor, ActorKind, Caller, caller
from broker.store.audit_tables import AUDIT_PENDING
from broker.store.database import Database
from broker.store.texts import MAX_NAME_BYTES
from config.clock import Clock

__all__ = ["Told", "Trail"]

T = TypeVar("T")
# An act, or what makes acts of the answer of a write: none where nothing was changed.
Told = Act | Callable[[T], Sequence[Act]]

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_INSERT: Final = insert(AUDIT_PENDING)
_LONGEST: Final = 512
_LONGEST_DETAILS: Final = 4096


class Trail:
    """Makes records and puts them into the store.

    Attributes:
        appended: Told of what was committed, in the loop's thread.
    """

    def __init__(self, database: Database, clock: Clock, *, is_on: bool) -> None:
        self._database, self._clock, self._is_on = database, clock, is_on
        self.appended: Callable[[Sequence[Act]], None] = lambda _acts: None
        self.node = ""

    async def write(
        self,
        work: Callable[[Connection], T],
        told: Told[T],
        after: Callable[[T], None] | None = None,
        *,
        by: Caller | None = None,
    ) -> T:
        """Do a write as `Database.write` does, and write down that it was done, by whom, in the same transaction.

        Args:
            told: The act; or what tells the acts from the answer. It changes nothing and may be called twice.
            by: Who does it; without it the ambient caller.
        """
        if not self._is_on:
            return await self._database.write(work, after)
        who, at = by or caller(), self._clock.now()

        def audited(connection: Connection) -> T:
            answer = work(connection)
            self.append(connection, [self.record_of(act, by=who, at=at) for act in _acts(told, answer)])
            return answer

        def done(answer: T) -> None:
            self.appended(_acts(told, answer))
            if after is not None:
                after(answer)

        return await self._database.write(audited, done)

    def append(self, connection: Connection, records: Sequence[AuditRecord]) -> None:
        """Put records into a transaction."""
        if records and self._is_on:
            connection.execute(_INSERT, [{"body": _encode(record)} for record in records])

    def record_of(self, act: Act, *, by: Caller | None = None, at: datetime | None = None) -> AuditRecord:
        """Make a record: by the ambient caller, now. What is too long, or cannot be stored, is cut."""
        who = caller() if by is None else by
        user = who.actor.name if who.actor.kind is ActorKind.USER else act.user
        fitting = Act(
            _fit(act.action),
            _fit(act.resource),
            _fit(user, MAX_NAME_BYTES),
            Decision(act.decision),
            _fit(act.rule),
            _details(act),
        )
        actor = Actor(who.actor.kind, "" if who.actor.kind is ActorKind.USER else _fit(who.actor.name))
        asked = Caller(actor, _fit(who.address, 64), _fit(who.transport, 64), _fit(who.correlation_id, 128))
        return AuditRecord(at or self._clock.now(), fitting, asked, self.node)


def _acts(told: Told[T], answer: T) -> Sequence[Act]:
    return (told,) if isinstance(told, Act) else told(answer)


def _details(act: Act) -> Mapping[str, Any]:
    if not act.details:
        return act.details
    details = {_fit(str(name), 64): _fit(value) if isinstance(value, str) else value for name, value in act.details.items()}
    return details if len(_encode(details)) <= _LONGEST_DETAILS else {"cut": True}


def _fit(text: str, longest: int = _LONGEST) -> str:
    """Make a text that every database keeps as it is, of at most so many characters."""
    if len(text) <= longest and text.isascii() and "\0" not in text:
        return text  # nearly all
    return text[:longest].replace("\0", "").encode(errors="replace").decode()
