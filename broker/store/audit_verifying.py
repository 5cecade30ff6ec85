"""The chain looked over: every hash made again, every gap named, every missing person accounted for by an erasure.

Read in pieces, each a query of its own, up to the head as it was at the beginning; what comes meanwhile is not waited for.
Retention may cut the old end while it is read: then all begins again.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select

from broker.audit import Anchor, Verification
from broker.audit_chain import FIELDS, GENESIS, Signer, address_digest, subject_of
from broker.errors import BadInput
from broker.store.audit_sealing import ERASED, SWEPT
from broker.store.audit_tables import AUDIT_HEAD, AUDIT_PENDING, AUDIT_RECORDS, AUDIT_SUBJECTS
from broker.store.dialect import Among, TextList

__all__ = ["Look", "Start", "read_piece", "read_start"]

_MAX_PROBLEMS: Final = 20
_R: Final = AUDIT_RECORDS.c
_S: Final = AUDIT_SUBJECTS.c
_H: Final = AUDIT_HEAD.c
_PIECE: Final = (
    select(AUDIT_RECORDS).where(_R.sequence > bindparam("after"), _R.sequence <= bindparam("last")).order_by(_R.sequence)
).limit(bindparam("most"))
_SUBJECTS: Final = select(AUDIT_SUBJECTS).where(Among(_S.subject, bindparam("among", type_=TextList())))
# One statement, so that it is one moment.
_START: Final = select(
    select(func.max(_R.sequence)).scalar_subquery().label("last"),
    select(_R.details).where(_R.action == SWEPT).order_by(_R.sequence.desc()).limit(1).scalar_subquery().label("swept"),
    select(func.count()).select_from(AUDIT_PENDING).scalar_subquery().label("pending"),
    *(select(_H[name]).where(_H.id == 1).scalar_subquery().label(name) for name in ("sequence", "hash", "key_id", "seal")),
)
_KNOWN_HERE: Final = 10_000


class Start(msgspec.Struct, frozen=True):
    """What a look begins with.

    Attributes:
        base: The last record that retention removed, as the chain itself tells; sequence 0 where it removed none.
        last: The highest place there is; 0 for none.
        head: As it is kept beside the chain; None where it is missing.
    """

    base: Anchor
    last: int
    head: Anchor | None
    head_key_id: str
    head_seal: str
    pending: int


class Piece(msgspec.Struct, frozen=True):
    """Consecutive records, and what is known of the subjects that they name: user and secret."""

    rows: Sequence[Row[Any]]
    subjects: dict[str, tuple[str, str]]


def read_start(connection: Connection) -> Start:
    """Read what a look begins with."""
    row = connection.execute(_START).one()
    return Start(
        Anchor(0, GENESIS) if row.swept is None else _base(row.swept),
        row.last or 0,
        None if row.sequence is None else Anchor(row.sequence, row.hash),
        row.key_id or "",
        row.seal or "",
        int(row.pending),
    )


def read_piece(connection: Connection, after: int, last: int, *, limit: int) -> Piece:
    """Read records behind a place."""
    rows = connection.execute(_PIECE, {"after": after, "last": last, "most": limit}).all()
    among = sorted({row.subject for row in rows if row.subject})
    found = connection.execute(_SUBJECTS, {"among": among}) if among else ()
    return Piece(rows, {row.subject: (row.user, row.secret) for row in found})


def _base(details: str) -> Anchor:
    """Read what a record of a sweep tells; what it cannot tell fails the first record."""
    try:
        told = msgspec.json.decode(details)
        return Anchor(int(told["through"]), str(told["hash"]))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return Anchor(0, GENESIS)


class Look:
    """Takes the pieces of a chain in order, and tells what is wrong with it.

    Args:
        unsigned_through: The last record from before there was a key. Unsigned ones after it may be whoever's who can write the
            store, though signed ones follow: these are put on top of whatever is there.
    """

    def __init__(self, start: Start, signer: Signer, anchor: Anchor | None, *, unsigned_through: int = 0) -> None:
        self._start, self._signer, self._anchor, self._unsigned_through = start, signer, anchor, unsigned_through
        self._previous = start.base
        self._problems: list[str] = []
        self._records = self._unsigned = 0
        self._first = self._last_stray = 0
        self._newest_key = ""
        self._unknown_keys: set[str] = set()
        self._missing: dict[str, int] = {}
        self._erased: set[str] = set()
        self._sound: set[str] = set()
        if anchor is not None and anchor.sequence < start.base.sequence:
            raise BadInput("anchor", f"names a record that retention removed; the chain begins at {start.base.sequence + 1}")
        self._compare_anchor(start.base)

    @property
    def after(self) -> int:
        """The place that was read last."""
        return self._previous.sequence

    def take(self, piece: Piece) -> None:
        """Look at a piece."""
        for row in piece.rows:
            self._take(row, piece.subjects)

    def end(self) -> Verification:
        """Tell what came of it."""
        self._end_chain()
        for subject, sequence in self._missing.items():
            if subject not in self._erased:
                self._tell(f"record {sequence}: the user that it names was taken out, and no erasure tells of it")
        head = self._start.head or Anchor(0, GENESIS)
        return Verification(
            self._first, head, self._records, self._unsigned, self._start.pending, tuple(self._problems[:_MAX_PROBLEMS])
        )

    def _take(self, row: Row[Any], subjects: dict[str, tuple[str, str]]) -> None:
        expected = self._previous.sequence + 1
        if row.sequence != expected:
            gone = f"record {expected} is" if row.sequence == expected + 1 else f"records {expected} to {row.sequence - 1} are"
            self._tell(f"{gone} missing")
        self._first = self._first or row.sequence
        self._records += 1
        self._check_key(row)
        # Behind a gap it is not known what it followed; what it says of itself must do.
        if row.sequence == expected and self._signer.knows(row.key_id) and self._hash(row) != row.hash:
            self._tell(f"record {row.sequence} was changed, or does not follow the one before it")
        self._check_person(row, subjects)
        self._previous = Anchor(row.sequence, row.hash)
        self._compare_anchor(self._previous)

    def _hash(self, row: Row[Any]) -> str:
        # The table has them first, in this order.
        return self._signer.record_hash(self._previous.hash, row[: len(FIELDS)], row.key_id)

    def _check_key(self, row: Row[Any]) -> None:
        if not row.key_id:
            self._unsigned += 1
            if self._newest_key:
                self._tell(f"record {row.sequence} is not signed, though one before it is")
            elif row.sequence > self._unsigned_through:
                self._last_stray = row.sequence
        elif not self._signer.knows(row.key_id) and row.key_id not in self._unknown_keys:
            self._unknown_keys.add(row.key_id)
            self._tell(f"record {row.sequence} is signed with a key that the settings do not name ({row.key_id})")
        self._newest_key = row.key_id or self._newest_key

    def _check_person(self, row: Row[Any], subjects: dict[str, tuple[str, str]]) -> None:
        if row.action == ERASED:
            self._erased.add(row.resource.removeprefix("subject:"))
        secret = ""
        if row.subject:
            if row.subject not in subjects:
                self._missing.setdefault(row.subject, row.sequence)
                if row.address is not None:
                    self._tell(f"record {row.sequence} keeps an address of a user who was taken out")
                return
            user, secret = subjects[row.subject]
            self._check_subject(row, user, secret)
        if address_digest(row.address or "", secret) != row.address_digest:
            self._tell(f"record {row.sequence}: the address was changed")

    def _check_subject(self, row: Row[Any], user: str, secret: str) -> None:
        if row.subject in self._sound:
            return
        if subject_of(user, secret) != row.subject:
            self._tell(f"record {row.sequence}: the user that it names was changed")
        elif len(self._sound) < _KNOWN_HERE:
            self._sound.add(row.subject)

    def _compare_anchor(self, place: Anchor) -> None:
        anchor = self._anchor
        if anchor is not None and place.sequence == anchor.sequence and place.sequence and place.hash != anchor.hash:
            self._tell(f"record {place.sequence} is not the one that the anchor names")

    def _end_chain(self) -> None:
        start, newest = self._start, self._previous
        if self._signer.key_id and self._records and not self._newest_key:
            self._tell("no record is signed, though the settings name a key: was it set after the last start?")
        elif self._signer.key_id and self._last_stray:
            told = f"records up to {self._last_stray} are not signed"
            self._tell(f"{told}: if the key was set after them, let audit.unsigned_through say so")
        if self._anchor is not None and self._anchor.sequence > newest.sequence:
            self._tell(f"the chain ends at {newest.sequence}, before the anchor: records were cut off")
        if start.head is None:
            if self._records:
                self._tell("the head of the chain is missing")
            return
        if start.head.sequence > newest.sequence:
            self._tell(f"the chain ends at {newest.sequence}, but its head is at {start.head.sequence}: records were cut off")
        elif start.head != newest:
            self._tell(f"the head of the chain is at {start.head.sequence}, which is not its newest record ({newest.sequence})")
        self._check_head_seal(start)

    def _check_head_seal(self, start: Start) -> None:
        assert start.head is not None
        if not self._signer.knows(start.head_key_id):
            return  # said of its record already
        if self._newest_key and not start.head_key_id:
            self._tell("the head of the chain is not signed, though records are")
        elif self._signer.head_seal(start.head.sequence, start.head.hash, start.head_key_id) != start.head_seal:
            self._tell("the head of the chain was changed")

    def _tell(self, problem: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(problem)
