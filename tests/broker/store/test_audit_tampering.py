"""Whatever is done to the rows of the audit by hand is found: each example alters a copy of one chain."""

import hashlib
import hmac
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from sqlalchemy import Connection, StaticPool, create_engine

from broker.audit import Act, Anchor, AuditRecord, Decision, Verification
from broker.audit_chain import FIELDS, GENESIS, Signer
from broker.caller import SYSTEM, Actor, ActorKind, Caller
from broker.store.audit_sealing import Unsigned, note, read_head
from broker.store.audit_shortening import forget_subject, sweep
from broker.store.audit_tables import AUDIT_HEAD, AUDIT_PENDING, AUDIT_RECORDS, AUDIT_SUBJECTS
from broker.store.audit_verifying import Look, read_piece, read_start
from broker.store.belongings import remove_of_user
from broker.store.schema import METADATA

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"key-of-the-audit"
TABLES = [AUDIT_RECORDS, AUDIT_HEAD, AUDIT_SUBJECTS, AUDIT_PENDING]
COLUMNS = [column.name for column in AUDIT_RECORDS.columns]
TEXTS = [name for name in COLUMNS if name not in ("sequence", "at", "address")]
LENGTH = 14


class NoTrail:
    """Where nothing waits, nothing is appended."""

    def append(self, connection: Connection, records: Any) -> None:
        raise AssertionError("it has a subject")


def record(number: int) -> AuditRecord:
    user = ("ann", "ben", "cem", "")[number % 4]
    act = Act("channel.publish", f"channel:{number}", user, Decision.DENIED, "default", {"count": number})
    actor = Actor(ActorKind.USER) if user else Actor(ActorKind.API_KEY, "backend")
    who = Caller(actor, f"192.0.2.{number}", "api", "c")
    return AuditRecord(NOW + timedelta(seconds=number), act, who, "n1")


def make_chain(signer: Signer) -> sqlite3.Connection:
    """Make a chain that retention has shortened (records 1 and 2) and of which ben was erased."""
    with connected(sqlite3.connect(":memory:", check_same_thread=False), is_new=True) as (raw, connection):
        for number in range(LENGTH - 4):
            note(connection, signer, record(number))
        erased = AuditRecord(NOW, Act("user.erased"), SYSTEM, "n1")
        forget_subject(connection, signer, NoTrail(), "ben", erased)  # type: ignore[arg-type]
        remove_of_user(connection, "ben")
        assert sweep(connection, signer, before=NOW + timedelta(seconds=2), limit=9, now=NOW, node="n1") == 2
        for number in (4, 5):
            note(connection, signer, record(number))  # ben comes back, as somebody else
        return raw


class connected:
    """Talk to a database in memory through SQLAlchemy."""

    def __init__(self, raw: sqlite3.Connection, *, is_new: bool = False) -> None:
        self.raw = raw
        self.engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        if is_new:
            METADATA.create_all(self.engine)

    def __enter__(self) -> tuple[sqlite3.Connection, Connection]:
        self.connection = self.engine.connect()
        self.transaction = self.connection.begin()
        return self.raw, self.connection

    def __exit__(self, *_error: object) -> None:
        self.transaction.commit()
        self.connection.close()


def look_over(raw: sqlite3.Connection, signer: Signer, anchor: Anchor | None = None, **more: int) -> Verification:
    with connected(raw) as (_, connection):
        start = read_start(connection)
        look = Look(start, signer, anchor, **more)
        while (piece := read_piece(connection, look.after, start.last, limit=4)).rows:
            look.take(piece)
        return look.end()


def head_of(raw: sqlite3.Connection) -> Anchor:
    with connected(raw) as (_, connection):
        return read_head(connection)[0]


@pytest.fixture(scope="module", params=[(b"",), (KEY,)], ids=["unsigned", "signed"])
def signer(request: pytest.FixtureRequest) -> Signer:
    return Signer(request.param)


@pytest.fixture(scope="module")
def chain(signer: Signer) -> Iterator[sqlite3.Connection]:
    raw = make_chain(signer)
    yield raw
    raw.close()


def altered(chain: sqlite3.Connection, *statements: str | tuple[str, tuple[Any, ...]]) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    chain.backup(copy)
    for statement in statements:
        sql, values = statement if isinstance(statement, tuple) else (statement, ())
        copy.execute(sql, values)
    copy.commit()
    return copy


def test_the_chain_itself_is_whole(chain: sqlite3.Connection, signer: Signer) -> None:
    found = look_over(chain, signer, head_of(chain))
    assert found.problems == ()
    assert (found.first, found.records, found.head.sequence) == (3, LENGTH - 2, LENGTH)
    assert found.unsigned == (0 if signer.key_id else LENGTH - 2)
    assert chain.execute("SELECT count(*) FROM audit_records WHERE address IS NULL").fetchone()[0] >= 2


def test_hashes_are_what_the_guide_says(chain: sqlite3.Connection, signer: Signer) -> None:
    """Made again with nothing of ours: netstrings under SHA-256, or HMAC with the key."""

    def netstring(value: object) -> bytes:
        data = str(value).encode()
        return str(len(data)).encode() + b":" + data + b","

    rows = chain.execute(f"SELECT {', '.join(FIELDS)}, hash FROM audit_records ORDER BY sequence").fetchall()
    for before, row in itertools.pairwise(rows):
        data = b"".join(map(netstring, ("heliograph audit record 1", before[-1], *row[:-1])))
        made = hmac.new(KEY, data, "sha256") if signer.key_id else hashlib.sha256(data)
        assert row[-1] == made.hexdigest()
    assert GENESIS == "0" * 64


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_change_of_one_value_is_found(chain: sqlite3.Connection, signer: Signer, data: st.DataObject) -> None:
    sequence = data.draw(st.integers(3, LENGTH))
    name = data.draw(st.sampled_from(COLUMNS))
    (before,) = chain.execute(f"SELECT {name} FROM audit_records WHERE sequence = ?", (sequence,)).fetchone()
    values: st.SearchStrategy[Any] = st.text(max_size=9) if name in TEXTS else st.integers(LENGTH + 1, 2**62)
    if name == "address":
        values = st.one_of(st.none(), st.text(max_size=9))
    after = data.draw(values.filter(lambda value: value != before and (value or before)))
    copy = altered(chain, (f"UPDATE audit_records SET {name} = ? WHERE sequence = ?", (after, sequence)))
    assert look_over(copy, signer).problems
    copy.close()


@settings(deadline=None, max_examples=60)
@given(st.integers(3, LENGTH), st.integers(1, LENGTH))
def test_any_cut_is_found(chain: sqlite3.Connection, signer: Signer, first: int, length: int) -> None:
    copy = altered(chain, ("DELETE FROM audit_records WHERE sequence BETWEEN ? AND ?", (first, first + length - 1)))
    problems = look_over(copy, signer).problems
    assert problems
    assert any("missing" in problem or "cut off" in problem for problem in problems)
    copy.close()


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(3, LENGTH + 1)))
def test_any_other_order_is_found(chain: sqlite3.Connection, signer: Signer, order: list[int]) -> None:
    moves = [("UPDATE audit_records SET sequence = ? WHERE sequence = ?", (-place, old)) for place, old in enumerate(order, 3)]
    copy = altered(chain, *moves, "UPDATE audit_records SET sequence = -sequence")
    assert bool(look_over(copy, signer).problems) is (order != list(range(3, LENGTH + 1)))
    copy.close()


@settings(deadline=None, max_examples=60)
@given(st.integers(3, LENGTH), st.integers(3, LENGTH))
def test_a_row_put_in_is_found(chain: sqlite3.Connection, signer: Signer, place: int, like: int) -> None:
    others = ", ".join(name for name in COLUMNS if name != "sequence")
    copy = altered(
        chain,
        ("UPDATE audit_records SET sequence = -sequence - 1 WHERE sequence >= ?", (place,)),
        "UPDATE audit_records SET sequence = -sequence WHERE sequence < 0",
        (
            f"INSERT INTO audit_records (sequence, {others}) SELECT ?, {others} FROM audit_records WHERE sequence = ?",
            (place, like if like < place else like + 1),
        ),
    )
    assert look_over(copy, signer).problems
    copy.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM audit_head", "the head of the chain is missing"),
        ("UPDATE audit_head SET hash = 'x'", "the head of the chain is at 14, which is not its newest record"),
        ("UPDATE audit_head SET sequence = 15", "the chain ends at 14, but its head is at 15"),
        ("UPDATE audit_head SET seal = 'x'", "the head of the chain was changed"),
        ("DELETE FROM audit_subjects WHERE user = 'ann'", "was taken out, and no erasure tells of it"),
        ("UPDATE audit_subjects SET user = 'eve' WHERE user = 'ann'", "the user that it names was changed"),
        ("UPDATE audit_subjects SET secret = 'x' WHERE user = 'ann'", "the user that it names was changed"),
        ("DELETE FROM audit_records", "records were cut off"),
        ("DELETE FROM audit_records WHERE action = 'audit.swept'", "missing"),
        ("DELETE FROM audit_records WHERE action = 'user.erased'", "no erasure tells of it"),
    ],
)
def test_what_stands_beside_the_chain_is_held_to_it(
    chain: sqlite3.Connection, signer: Signer, statement: str, problem: str
) -> None:
    problems = look_over(altered(chain, statement), signer).problems
    assert any(problem in line for line in problems), problems


def cut_off(chain: sqlite3.Connection, signer: Signer) -> sqlite3.Connection:
    """Cut the end off, and take the head back to match, with the key that is known."""
    (last,) = chain.execute("SELECT hash FROM audit_records WHERE sequence = ?", (LENGTH - 2,)).fetchone()
    seal = signer.head_seal(LENGTH - 2, last, signer.key_id)
    move = "UPDATE audit_head SET sequence = ?, hash = ?, seal = ?, key_id = ?"
    return altered(
        chain,
        ("DELETE FROM audit_records WHERE sequence > ?", (LENGTH - 2,)),
        (move, (LENGTH - 2, last, seal, signer.key_id)),
    )


def test_a_cut_at_the_end_that_takes_the_head_along_is_found_by_the_key() -> None:
    known = Signer((KEY,))
    (problem,) = look_over(cut_off(make_chain(known), Signer()), known).problems
    assert problem == "the head of the chain is not signed, though records are"


def test_a_cut_at_the_end_that_takes_the_head_along_is_found_by_an_anchor(chain: sqlite3.Connection, signer: Signer) -> None:
    anchor = head_of(chain)
    copy = cut_off(chain, signer)
    assert look_over(copy, signer).is_whole  # nothing that is left tells of it
    assert look_over(copy, signer, anchor).problems == ("the chain ends at 12, before the anchor: records were cut off",)


def forge(raw: sqlite3.Connection, sequence: int, alter: Callable[[dict[str, Any]], None]) -> None:
    """Change a record and make every hash after it anew, without a key."""
    rows = raw.execute(f"SELECT {', '.join(FIELDS)}, hash FROM audit_records ORDER BY sequence").fetchall()
    (swept,) = raw.execute("SELECT details FROM audit_records WHERE action = 'audit.swept'").fetchone()
    previous = json.loads(swept)["hash"]
    for values in rows:
        row = dict(zip((*FIELDS, "hash"), values, strict=True))
        if row["sequence"] >= sequence:
            if row["sequence"] == sequence:
                alter(row)
            row["key_id"] = ""
            row["hash"] = Signer().record_hash(previous, [row[name] for name in FIELDS], "")
            assign = ", ".join(f"{name} = ?" for name in row)
            raw.execute(f"UPDATE audit_records SET {assign} WHERE sequence = ?", (*row.values(), row["sequence"]))
        previous = row["hash"]
    seal = Signer().head_seal(LENGTH, previous, "")
    raw.execute("UPDATE audit_head SET hash = ?, seal = ?, key_id = ''", (previous, seal))
    raw.commit()


def test_a_chain_made_anew_is_found_by_the_key_or_by_an_anchor(chain: sqlite3.Connection, signer: Signer) -> None:
    copy = altered(chain)
    forge(copy, 5, lambda row: row.update(decision="granted"))
    assert look_over(copy, signer).is_whole is not bool(signer.key_id)
    anchored = look_over(copy, signer, head_of(chain))
    assert "record 14 is not the one that the anchor names" in anchored.problems


def test_a_chain_made_anew_from_its_begin_on_is_found_by_the_key() -> None:
    known = Signer((KEY,))
    raw = make_chain(known)
    forge(raw, 3, lambda row: row.update(decision="granted"))
    (problem,) = look_over(raw, known).problems
    assert problem == "no record is signed, though the settings name a key: was it set after the last start?"


def test_records_of_an_older_key_count_while_it_is_named() -> None:
    older, newer = Signer((KEY,)), Signer((b"another-key-0123", KEY))
    raw = make_chain(older)
    with connected(raw) as (_, connection):
        note(connection, newer, record(9))
    assert look_over(raw, newer).is_whole
    (problem,) = look_over(raw, Signer((b"another-key-0123",))).problems
    assert problem.startswith("record 3 is signed with a key that the settings do not name")


def test_a_previous_key_alone_checks_and_signs_nothing() -> None:
    raw = make_chain(Signer((KEY,)))
    reader = Signer((b"", KEY))
    assert (look_over(raw, reader).problems, reader.key_id) == ((), "")
    with connected(raw) as (_, connection), pytest.raises(Unsigned):
        note(connection, reader, record(9))


def test_records_from_before_there_was_a_key_count_as_such() -> None:
    raw = make_chain(Signer())
    with connected(raw) as (_, connection):
        note(connection, Signer((KEY,)), record(9))
    found = look_over(raw, Signer((KEY,)), unsigned_through=LENGTH)
    assert (found.problems, found.unsigned) == ((), LENGTH - 2)
    (problem,) = look_over(raw, Signer((KEY,)), unsigned_through=LENGTH - 1).problems
    assert problem == "records up to 14 are not signed: if the key was set after them, let audit.unsigned_through say so"


def test_a_chain_made_anew_without_the_key_is_found_though_honest_records_follow() -> None:
    known = Signer((KEY,))
    raw = make_chain(known)
    forge(raw, 3, lambda row: row.update(decision="granted"))
    with connected(raw) as (_, connection):
        note(connection, known, record(9))
    assert "records up to 14 are not signed" in str(look_over(raw, known).problems)


def test_nothing_recorded_is_whole() -> None:
    with connected(sqlite3.connect(":memory:", check_same_thread=False), is_new=True) as (raw, _):
        pass
    assert look_over(raw, Signer()) == Verification(0, Anchor(0, GENESIS), 0, 0, 0, ())
