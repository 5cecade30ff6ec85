"""Port: the audit, an append-only account of who did what, on what, from where, and by which rule it was decided.

What changes something in the store is written down in the transaction that changes it (`broker.store.audit_trail`). Denials,
grants and changes elsewhere are handed to `record`, which only queues them: nobody waits for the audit on the way of a message.
All of it ends in one chain of hashes, in which a record that was changed, moved, put in or taken out is found.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from broker.caller import SYSTEM, Caller
from broker.errors import BadInput

__all__ = [
    "Act",
    "Anchor",
    "Audit",
    "AuditFilter",
    "AuditRecord",
    "AuditStatistics",
    "Decision",
    "NoAudit",
    "SealedRecord",
    "Verification",
    "Witness",
]

_NOTHING: Final[Mapping[str, Any]] = {}


class Decision(StrEnum):
    """What came of it. `noted` is what the audit says of itself; `failed` a change that was allowed and did not happen."""

    GRANTED = "granted"
    DENIED = "denied"
    CHANGED = "changed"
    FAILED = "failed"
    NOTED = "noted"


class Act(msgspec.Struct, frozen=True):
    """Something that is done, as whoever does it tells the audit; who, when and from where is added there.

    No field ever holds a secret, a message or an address of a device; long texts are cut.

    Attributes:
        action: A dotted name: `device.registered`, `channel.subscribe`, `api.disconnect`.
        resource: What it is done to, as `kind:name`: `device:0190…`, `channel:docs:plan`. Names no person: that is `user`.
        user: Whom it concerns, empty for nobody; the one thing that erasure takes away.
        rule: What decided: a setting, a policy's rule, a role, the check of a token that failed.
        details: Few and small: texts, numbers, truth values.
    """

    action: str
    resource: str = ""
    user: str = ""
    decision: Decision = Decision.CHANGED
    rule: str = ""
    details: Mapping[str, Any] = _NOTHING


class AuditRecord(msgspec.Struct, frozen=True):
    """An act, with who did it, when, and on which node."""

    at: datetime
    act: Act
    caller: Caller = SYSTEM
    node: str = ""


class SealedRecord(msgspec.Struct, frozen=True):
    """A record in its place of the chain.

    Attributes:
        subject: Stands for the user; stays when the user was erased.
        address_digest: Stands for the caller's address likewise.
        key_id: Names the key that signed it, empty for none.
    """

    sequence: int
    record: AuditRecord
    subject: str
    address_digest: str
    key_id: str
    hash: str


class AuditFilter(msgspec.Struct, frozen=True):
    """Which records are meant: those that meet every rule here; an empty one lets all through.

    Attributes:
        actor: A kind (`api_key`), or a kind and a name (`user:ann`).
        action: A whole one, or its beginning with a `*` behind it: `device.*`.
        resource: As `action`.
        rule: What decided, as `action`.
        since: This moment or later.
        until: Before this moment.
    """

    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    action: str = ""
    resource: str = ""
    decision: str = ""
    rule: str = ""
    user: str = ""
    correlation_id: str = ""


class Anchor(msgspec.Struct, frozen=True):
    """The newest record's place and hash. Kept elsewhere, it proves later that nothing up to it was changed or cut off."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Read what `str` wrote.

        Raises:
            BadInput: Naming `anchor`.
        """
        number, _, digest = text.strip().partition(":")
        is_hash = len(digest) == 64 and all(digit in "0123456789abcdef" for digit in digest)
        if not (number.isascii() and number.isdecimal() and len(number) < 19 and is_hash):
            raise BadInput("anchor", "must be as `heliograph audit head` prints it: a number, a colon, 64 hexadecimal digits")
        return cls(int(number), digest)


class Verification(msgspec.Struct, frozen=True):
    """What came of looking the chain over. It is whole where there are no problems.

    Attributes:
        records: How many were read.
        unsigned: How many of them no key signed: those from before there was one.
        pending: How many wait for their place in the chain; nothing protects these yet.
        problems: One line each, the first ones found; empty where all is well.
    """

    first: int
    head: Anchor
    records: int
    unsigned: int
    pending: int
    problems: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return not self.problems


class AuditStatistics(msgspec.Struct, frozen=True):
    """What this process has written since it started.

    Attributes:
        recorded: By decision.
        queued: Records that wait in memory now.
        dropped: Denials and grants that found no room, or the store away for too long.
        failing: Whether the last write failed.
    """

    recorded: Mapping[str, int]
    queued: int
    dropped: int
    failing: bool
    verified_at: float
    verified_whole: bool


class Witness(Protocol):
    """Takes down what is done."""

    def record(self, act: Act, *, by: Caller | None = None) -> None:
        """Have an act written down soon, and go on: it never waits and never raises.

        The same act of the same caller within a moment becomes one record with `details.count`. What finds no room is
        counted, and a record `audit.gap` tells how much it was.

        Args:
            by: Who does it; without it the ambient caller (`broker.caller`).
        """

    async def change(self, act: Act, *, by: Caller | None = None) -> None:
        """Write down a change that is about to be made outside of the store.

        Raises:
            StoreUnavailable: It cannot be written down, and `audit.on_failure` says that the change must not be made then.
        """


class Audit(Witness, Protocol):
    """The audit of a fleet, as one process sees it."""

    def begin(self, node: str) -> None:
        """Say which node this process is; its start and its end are records of their own."""

    async def settle(self) -> None:
        """Write down what is queued and give everything its place in the chain.

        Raises:
            StoreUnavailable: Nothing is lost; it is tried again.
        """

    async def search(self, wanted: AuditFilter, *, before: str = "", limit: int) -> tuple[Sequence[SealedRecord], str]:
        """List records, the newest first.

        Args:
            before: Where to go on: the second value of the page before.
            limit: At most so many.
        Returns:
            The records, and where the next page begins; empty on the last one.
        Raises:
            BadInput: Naming a field of the filter, or `cursor`.
        """

    async def read(self, after: int, *, limit: int) -> Sequence[SealedRecord]:
        """List records in the order of the chain, behind a place; at most `limit`."""

    async def head(self) -> Anchor:
        """Tell the newest record's place and hash; sequence 0 where there is none."""

    async def verify(self, anchor: Anchor | None = None) -> Verification:
        """Look the whole chain over, a bounded piece at a time; with an anchor also whether it still leads there."""

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Remove records from before a moment, the oldest first, and leave a record of where the chain begins now.

        Returns:
            How many went; less than `limit` means that nothing older is left.
        """

    def statistics(self) -> AuditStatistics:
        """Count what this process wrote."""


class NoAudit:
    """A witness that takes everything, and keeps nothing."""

    def record(self, act: Act, *, by: Caller | None = None) -> None:
        """Forget it."""

    async def change(self, act: Act, *, by: Caller | None = None) -> None:
        """Forget it."""
