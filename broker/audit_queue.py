"""What waits to be written to the audit: bounded, with repeats counted instead of kept.

Whoever is denied tries again, perhaps thousands of times a second. The same act of the same caller that comes while the first
one still waits only raises its count, so that a flood of one kind fills neither memory nor the store; and what finds no room at
all is counted too, and told by a record of its own.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from broker.audit import Act, AuditRecord, Decision
from broker.caller import SYSTEM, Caller

__all__ = ["AuditQueue", "Taken"]

_GAP: Final = "audit.gap"


class Taken(msgspec.Struct, frozen=True):
    """What was taken out to be written; handed back where that fails."""

    records: Sequence[AuditRecord]
    keys: Sequence[object]


class AuditQueue:
    """Records by what makes them the same, with how often they came."""

    def __init__(self, size: int, *, node: str = "") -> None:
        self.node = node
        self.dropped = 0
        """How many found no room since the start."""
        self._size = size
        self._waiting: dict[object, tuple[AuditRecord, int]] = {}
        self._gap: Counter[str] = Counter()
        self._gap_since: datetime | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._gap

    def add(self, act: Act, who: Caller, make: Callable[[], AuditRecord]) -> bool:
        """Take an act; False where there was no room, so that it was only counted.

        Args:
            make: Makes its record; called only where none like it waits.
        """
        key = _key(act, who)
        known = self._waiting.get(key)
        if known is not None:
            self._waiting[key] = known[0], known[1] + 1
        elif len(self._waiting) < self._size:
            self._waiting[key] = make(), 1
        else:
            self._drop(make(), 1)
            return False
        return True

    def take(self, limit: int, now: datetime) -> Taken:
        """Take out what came first, at most `limit`, and what tells of a gap."""
        keys = list(self._waiting)[:limit]
        records = [_counted(*self._waiting.pop(key)) for key in keys]
        if self._gap:
            records.append(self._gap_record(now))
        return Taken(records, keys)

    def give_back(self, taken: Taken) -> None:
        """Take what could not be written again, before all that came meanwhile."""
        later, self._waiting = self._waiting, {}
        for key, record in zip(taken.keys, taken.records, strict=False):
            self._put(key, record, int(record.act.details.get("count", 1)))
        for key, (record, count) in later.items():
            self._put(key, record, count)
        for record in taken.records[len(taken.keys) :]:
            self._gap.update(record.act.details["dropped"])
            self._gap_since = datetime.fromisoformat(record.act.details["since"])

    def _put(self, key: object, record: AuditRecord, count: int) -> None:
        known = self._waiting.get(key)
        if known is not None:
            self._waiting[key] = known[0], known[1] + count
        elif len(self._waiting) < self._size:
            self._waiting[key] = record, count
        else:
            self._drop(record, count)

    def _drop(self, record: AuditRecord, count: int) -> None:
        self.dropped += count
        self._gap[record.act.decision] += count
        self._gap_since = self._gap_since or record.at

    def _gap_record(self, now: datetime) -> AuditRecord:
        dropped = {str(decision): count for decision, count in sorted(self._gap.items())}
        details = {"dropped": dropped, "since": (self._gap_since or now).isoformat()}
        self._gap.clear()
        self._gap_since = None
        return AuditRecord(now, Act(_GAP, decision=Decision.NOTED, details=details), SYSTEM, self.node)


def _key(act: Act, who: Caller) -> object:
    """Tell what a repeat has in common with the first: all but the moment and the correlation id."""
    details = str(act.details) if act.details else ""
    return (act.action, act.resource, act.user, act.decision, act.rule, details, who.actor, who.address, who.transport)


def _counted(record: AuditRecord, count: int) -> AuditRecord:
    if count == 1:
        return record
    act = msgspec.structs.replace(record.act, details={**record.act.details, "count": count})
    return msgspec.structs.replace(record, act=act)
