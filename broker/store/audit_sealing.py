"""Records get their place in the chain: one writer at a time, many records at once.

Writers put records into `audit_pending` without waiting for each other; whoever comes by takes all that lies there, hashes it
behind the newest record and moves the head, in one transaction under one lock. A writer that dies leaves either its pending
rows, which the next one takes, or nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from broker.audit import Anchor, AuditRecord
from broker.audit_chain import FIELDS, GENESIS, Signer, address_digest, new_secret, subject_of
from broker.caller import ActorKind
from broker.errors import StoreUnavailable
from broker.store import dialect
from broker.store.audit_tables import AUDIT_HEAD, AUDIT_PENDING, AUDIT_RECORDS, AUDIT_SUBJECTS
from broker.store.dialect import Among, TextList, upsert
from broker.store.moments import to_micros

__all__ = ["ERASED", "SWEPT", "Unsigned", "has_pending", "lock_chain", "note", "read_head", "seal"]

ERASED: Final = "user.erased"
SWEPT: Final = "audit.swept"

_P: Final = AUDIT_PENDING.c
_S: Final = AUDIT_SUBJECTS.c
_PENDING: Final = select(AUDIT_PENDING).order_by(_P.number).limit(bindparam("most"))
_ANY: Final = select(_P.number).limit(1)
_DONE: Final = delete(AUDIT_PENDING).where(_P.number.in_(bindparam("numbers", expanding=True)))
_HEAD: Final = select(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1)
_KNOWN: Final = select(_S.user, _S.subject, _S.secret).where(Among(_S.user, bindparam("among", type_=TextList())))
_decode: Final = msgspec.json.Decoder(AuditRecord).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Unsigned(StoreUnavailable):
    """The chain is signed, and this process has no key: it must not go on unsigned."""

    def __init__(self) -> None:
        super().__init__("the audit is signed, and audit.hmac_key is not set here")


class _Subject(msgspec.Struct, frozen=True):
    subject: str = ""
    secret: str = ""


_NOBODY: Final = _Subject()


def has_pending(connection: Connection) -> bool:
    """Whether anything waits; costs next to nothing."""
    return connection.execute(_ANY).first() is not None


def lock_chain(connection: Connection) -> None:
    """Let nobody else prolong or shorten the chain before this transaction has ended. Taken before any other lock."""
    dialect.lock(connection, "audit")


def read_head(connection: Connection) -> tuple[Anchor, str]:
    """Read the newest record's place and hash, and the key that signed it."""
    row = connection.execute(_HEAD).one_or_none()
    return (Anchor(0, GENESIS), "") if row is None else (Anchor(row.sequence, row.hash), row.key_id)


def seal(connection: Connection, signer: Signer, *, limit: int) -> int:
    """Give what waits its place, at most `limit` records, the oldest first; the chain must be locked.

    Returns:
        How many got one; less than `limit` means that nothing waits any more.
    Raises:
        Unsigned: Nothing was done.
    """
    rows = connection.execute(_PENDING, {"most": limit}).all()
    if rows:
        _prolong(connection, signer, [_decode(row.body) for row in rows])
        connection.execute(_DONE, {"numbers": [row.number for row in rows]})
    return len(rows)


def note(connection: Connection, signer: Signer, record: AuditRecord) -> None:
    """Put a record straight into the chain, which must be locked."""
    _prolong(connection, signer, [record])


def _prolong(connection: Connection, signer: Signer, records: Sequence[AuditRecord]) -> None:
    head, key_id = read_head(connection)
    if key_id and not signer.key_id:
        raise Unsigned
    subjects = _subjects(connection, {record.act.user for record in records if record.act.user})
    sequence, previous, rows = head.sequence, head.hash, []
    for record in records:
        sequence += 1
        row = _row(sequence, record, subjects.get(record.act.user, _NOBODY), signer.key_id)
        previous = row["hash"] = signer.record_hash(previous, [row[name] for name in FIELDS], signer.key_id)
        rows.append(row)
    connection.execute(insert(AUDIT_RECORDS), rows)
    _move_head(connection, signer, Anchor(sequence, previous))


def _row(sequence: int, record: AuditRecord, subject: _Subject, key_id: str) -> dict[str, Any]:
    act, who = record.act, record.caller
    return {
        "sequence": sequence,
        "at": to_micros(record.at),
        "actor_kind": who.actor.kind.value,
        "actor": who.actor.name if who.actor.kind is not ActorKind.USER else "",
        "subject": subject.subject,
        "action": act.action,
        "resource": act.resource,
        "decision": act.decision.value,
        "rule": act.rule,
        "correlation_id": who.correlation_id,
        "transport": who.transport,
        "node": record.node,
        "details": _encode(act.details).decode() if act.details else "",
        "address_digest": address_digest(who.address, subject.secret),
        "key_id": key_id,
        "address": who.address or None,
    }


def _subjects(connection: Connection, users: set[str]) -> dict[str, _Subject]:
    """Look up what stands for users, and draw it for those who are new; only ever called under the chain's lock."""
    if not users:
        return {}
    found = connection.execute(_KNOWN, {"among": sorted(users)})
    known = {row.user: _Subject(row.subject, row.secret) for row in found}
    fresh = []
    for user in sorted(users - known.keys()):
        secret = new_secret()
        known[user] = _Subject(subject_of(user, secret), secret)
        fresh.append({"user": user, "subject": known[user].subject, "secret": secret})
    if fresh:
        connection.execute(insert(AUDIT_SUBJECTS), fresh)
    return known


def _move_head(connection: Connection, signer: Signer, head: Anchor) -> None:
    seal_text = signer.head_seal(head.sequence, head.hash, signer.key_id)
    row = {"id": 1, "sequence": head.sequence, "hash": head.hash, "key_id": signer.key_id, "seal": seal_text}
    insertion = upsert(connection, AUDIT_HEAD)
    moved = {name: insertion.excluded[name] for name in row if name != "id"}
    connection.execute(insertion.on_conflict_do_update(index_elements=[AUDIT_HEAD.c.id], set_=moved), row)
