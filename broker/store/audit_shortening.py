"""What is lawfully taken out of the audit: the old end, by retention, and a person, by erasure. Both leave a record of it."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from broker.audit import Act, Anchor, AuditRecord, Decision
from broker.audit_chain import Signer
from broker.caller import SYSTEM
from broker.store.audit_sealing import ERASED, SWEPT, has_pending, lock_chain, note, seal
from broker.store.audit_tables import AUDIT_RECORDS, AUDIT_SUBJECTS
from broker.store.audit_trail import Trail
from broker.store.dialect import Among, TextList
from broker.store.moments import from_micros, to_micros

__all__ = ["forget_subject", "sweep"]

_PIECE: Final = 1000
_R: Final = AUDIT_RECORDS.c
_S: Final = AUDIT_SUBJECTS.c
_OLDEST: Final = select(_R.sequence, _R.at, _R.hash, _R.subject).order_by(_R.sequence).limit(bindparam("most"))
_CUT: Final = delete(AUDIT_RECORDS).where(_R.sequence <= bindparam("through"))
_UNUSED: Final = delete(AUDIT_SUBJECTS).where(
    Among(_S.subject, bindparam("among", type_=TextList())),
    ~exists(select(_R.sequence).where(_R.subject == _S.subject)),
)
_SUBJECT: Final = select(_S.subject).where(_S.user == bindparam("of_user"))
_HIDE: Final = update(AUDIT_RECORDS).where(_R.subject == bindparam("of_subject")).values(address=None)


def sweep(connection: Connection, signer: Signer, *, before: datetime, limit: int, now: datetime, node: str) -> int:
    """Remove the oldest records up to the first that is not old; tells how many.

    Raises:
        Unsigned: Nothing was removed.
    """
    lock_chain(connection)
    old = []
    for row in connection.execute(_OLDEST, {"most": limit}):
        if row.at >= to_micros(before):
            break
        old.append(row)
    if not old:
        return 0
    through = Anchor(old[-1].sequence, old[-1].hash)
    connection.execute(_CUT, {"through": through.sequence})
    if subjects := sorted({row.subject for row in old if row.subject}):
        connection.execute(_UNUSED, {"among": subjects})
    details = {"through": through.sequence, "hash": through.hash, "records": len(old), "until": str(from_micros(old[-1].at))}
    note(connection, signer, AuditRecord(now, Act(SWEPT, decision=Decision.NOTED, details=details), SYSTEM, node))
    return len(old)


def forget_subject(connection: Connection, signer: Signer, trail: Trail, user: str, erased: AuditRecord) -> None:
    """Prepare for the row of a user in `audit_subjects` to be removed: hide addresses, and write down who is gone.

    What waits gets its place before: it would lead to the user anew.

    Raises:
        Unsigned: Nothing was done.
    """
    lock_chain(connection)
    while has_pending(connection) and seal(connection, signer, limit=_PIECE) == _PIECE:
        pass
    subject = connection.execute(_SUBJECT, {"of_user": user}).scalar_one_or_none()
    if subject is not None:
        connection.execute(_HIDE, {"of_subject": subject})
        note(connection, signer, _of_subject(erased, subject))
    else:
        trail.append(connection, [erased])


def _of_subject(erased: AuditRecord, subject: str) -> AuditRecord:
    act = Act(ERASED, f"subject:{subject}", decision=erased.act.decision, details=erased.act.details)
    return AuditRecord(erased.at, act, erased.caller, erased.node)
