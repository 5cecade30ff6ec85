"""The versions of rules on SQL: a number per subject, raised in the transaction that changes something of it."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select

from broker.rules import Subject
from broker.store import dialect
from broker.store.database import Database
from broker.store.rule_tables import RULE_VERSIONS

__all__ = ["SqlRuleVersions", "raise_version"]

_V: Final = RULE_VERSIONS.c
_ALL: Final = select(_V.subject, _V.version)


class SqlRuleVersions:
    """Implements `broker.rules.RuleVersions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(self) -> Mapping[Subject, int]:
        rows = await self._database.read(lambda connection: connection.execute(_ALL).all())
        known = frozenset(Subject)
        return {Subject(row.subject): row.version for row in rows if row.subject in known}


def raise_version(connection: Connection, subject: Subject) -> int:
    """Raise a subject's number, and tell it. Whoever else changes the subject waits until this transaction has ended."""
    insertion = dialect.upsert(connection, RULE_VERSIONS).values(subject=subject.value, version=1)
    raised = insertion.on_conflict_do_update(index_elements=[_V.subject], set_={"version": _V.version + 1})
    return int(connection.execute(raised.returning(_V.version)).scalar_one())
