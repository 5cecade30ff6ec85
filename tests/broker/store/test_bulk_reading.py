"""Many rows as one value: the same rows in the same order as the query itself brings, whatever their texts hold."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, Connection, LargeBinary, MetaData, Table, Text, create_engine, select

from broker.store.bulk import WideInsert
from broker.store.bulk_reading import BulkRead

THINGS = Table(
    "things",
    MetaData(),
    Column("number", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", BigInteger),
    Column("enabled", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
# What a database keeps as a text: no U+0000 within it, and no halves of pairs.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ROWS = st.lists(
    st.tuples(
        TEXTS,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.dictionaries(TEXTS, TEXTS | st.floats(allow_nan=False, allow_infinity=False) | st.none()),
    ),
    max_size=100,
)


class Thing(msgspec.Struct, array_like=True, frozen=True):
    number: int
    name: str
    at: int | None
    enabled: int
    body: str


IN_REVERSE = BulkRead(Thing, select(THINGS).order_by(THINGS.c.number.desc()))
WRITE = WideInsert(THINGS, *THINGS.c)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as connection:
        THINGS.create(connection)
        yield connection


@given(rows=ROWS)
def test_rows_come_as_they_are_written_and_in_the_order_asked_for(rows: list[tuple[str, int | None, bool, object]]) -> None:
    with create_engine("sqlite://").connect() as connection:
        THINGS.create(connection)
        written = [(number, *row[:3], msgspec.json.encode(row[3])) for number, row in enumerate(rows)]
        WRITE.execute(connection, written)
        read = IN_REVERSE.rows(connection, {})
        assert [(one.number, one.name, one.at, bool(one.enabled), msgspec.json.decode(one.body)) for one in read] == [
            (number, *row) for number, row in reversed(list(enumerate(rows)))
        ]


@pytest.mark.parametrize("body", [b'{"data":' + b"[" * 3000 + b"]" * 3000 + b"}", b'"\\u0000 \\ud83d\\ude00"', b"no JSON"])
def test_what_bytes_hold_is_not_looked_at(connection: Connection, body: bytes) -> None:
    WRITE.execute(connection, [(1, "a", None, True, body)])
    assert [one.body.encode() for one in IN_REVERSE.rows(connection, {})] == [body]


def test_no_rows_are_none(connection: Connection) -> None:
    assert IN_REVERSE.rows(connection, {}) == []


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 85, 500])
def test_a_wide_insert_writes_each_row_once(connection: Connection, count: int) -> None:
    WRITE.execute(connection, [(number, f"thing {number}", None, True, b"{}") for number in range(count)])
    assert [row.number for row in connection.execute(select(THINGS).order_by(THINGS.c.number))] == list(range(count))
