"""Questions to the audit, the newest records first, along indexes by time."""

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal_column, or_, select

from broker.audit import Act, AuditFilter, AuditRecord, Decision, SealedRecord
from broker.caller import Actor, ActorKind, Caller
from broker.errors import BadInput
from broker.store.audit_tables import AUDIT_RECORDS, AUDIT_SUBJECTS
from broker.store.moments import from_micros, to_micros
from broker.store.texts import check_name

__all__ = ["check_filter", "find", "read_chain", "read_cursor"]

_R: Final = AUDIT_RECORDS.c
_S: Final = AUDIT_SUBJECTS.c
_FIND: Final = select(AUDIT_RECORDS, _S.user).select_from(
    AUDIT_RECORDS.outerjoin(AUDIT_SUBJECTS, and_(_S.subject == _R.subject, _R.subject != ""))
)
_LARGEST: Final = 2**63
# Written out as in the conditions of the partial indexes, or they would answer nothing.
_NOTHING: Final[ColumnElement[str]] = literal_column("''")


def check_filter(wanted: AuditFilter) -> None:
    """Hold a filter against the rules.

    Raises:
        BadInput: Naming the field.
    """
    if wanted.actor and wanted.actor.partition(":")[0] not in tuple(ActorKind):
        raise BadInput("actor", f"must begin with one of {', '.join(ActorKind)}")
    if wanted.decision and wanted.decision not in tuple(Decision):
        raise BadInput("decision", f"must be one of {', '.join(Decision)}")
    for field in ("action", "resource", "rule"):
        if "*" in getattr(wanted, field)[:-1]:
            raise BadInput(field, "must have a * at its end only")
    for field in ("actor", "action", "resource", "rule", "user", "correlation_id"):
        check_name(field, getattr(wanted, field))
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise BadInput("to", "must be later than from")


def find(
    connection: Connection, wanted: AuditFilter, before: tuple[int, int] | None, *, limit: int
) -> tuple[list[SealedRecord], str]:
    """List records, and tell where the next page begins."""
    query = _FIND.where(*_rules(wanted)).order_by(_R.at.desc(), _R.sequence.desc()).limit(limit + 1)
    if before is not None:
        at, sequence = before
        query = query.where(_R.at <= at, or_(_R.at < at, _R.sequence < sequence))
    rows = connection.execute(query).all()
    more = f"{rows[limit - 1].at}:{rows[limit - 1].sequence}" if len(rows) > limit else ""
    return [_record(row) for row in rows[:limit]], more


def read_chain(connection: Connection, after: int, *, limit: int) -> list[SealedRecord]:
    """List records behind a place, in the order of the chain."""
    query = _FIND.where(_R.sequence > after).order_by(_R.sequence).limit(limit)
    return [_record(row) for row in connection.execute(query)]


def read_cursor(cursor: str) -> tuple[int, int] | None:
    """Read where a page begins; None for the first one.

    Raises:
        BadInput: It is no cursor of ours.
    """
    if not cursor:
        return None
    parts = cursor.split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        raise BadInput("cursor", "must be the next_cursor of a page")
    at, sequence = (int(part) for part in parts)
    return min(at, _LARGEST - 1), min(sequence, _LARGEST - 1)


def _rules(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        rules.append(_R.at >= to_micros(wanted.since))
    if wanted.until is not None:
        rules.append(_R.at < to_micros(wanted.until))
    if wanted.decision:
        rules.append(_R.decision == wanted.decision)
    if wanted.correlation_id:
        rules.append(_R.correlation_id == wanted.correlation_id)
    if wanted.user:
        rules += _of(wanted.user)
    if wanted.rule:
        rules.append(_R.rule != _NOTHING)
    for column, text in ((_R.action, wanted.action), (_R.resource, wanted.resource), (_R.rule, wanted.rule)):
        if text.endswith("*"):
            rules.append(func.substr(column, 1, len(text) - 1) == text[:-1])
        elif text:
            rules.append(column == text)
    return rules + _actor_rules(wanted.actor)


def _actor_rules(actor: str) -> list[ColumnElement[bool]]:
    kind, _, name = actor.partition(":")
    if not kind:
        return []
    rules: list[ColumnElement[bool]] = [_R.actor_kind == kind]
    if name:
        rules += _of(name) if kind == ActorKind.USER else [_R.actor == name]
    return rules


def _of(user: str) -> list[ColumnElement[bool]]:
    of_user: Select[tuple[str]] = select(_S.subject).where(_S.user == user)
    return [_R.subject != _NOTHING, _R.subject == of_user.scalar_subquery()]


def _record(row: Row[Any]) -> SealedRecord:
    user = row.user or ""
    details = msgspec.json.decode(row.details) if row.details else {}
    act = Act(row.action, row.resource, user, Decision(row.decision), row.rule, details)
    kind = ActorKind(row.actor_kind)
    who = Caller(
        Actor(kind, user if kind is ActorKind.USER else row.actor), row.address or "", row.transport, row.correlation_id
    )
    record = AuditRecord(from_micros(row.at), act, who, row.node)
    return SealedRecord(row.sequence, record, row.subject, row.address_digest, row.key_id, row.hash)
