"""Many rows as one parameter: a JSON text that the database takes apart itself.

Measured against a parameter per value and row: a third of Python's time for a record saved, on PostgreSQL one statement
instead of one per row; and a statement is the same text, prepared once, however many rows it is given.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Insert, Integer, Table, Text, bindparam, insert, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ColumnElement

from broker.store.dialect import Elements, NumberAt, TextAt

__all__ = ["Rows", "WideInsert", "execute_rows", "insert_rows"]

_PARAMETER: Final = "rows"
# Of at most 64 rows: nine columns stay below the 999 parameters that any SQLite takes.
_SIZES: Final = (64, 16, 4, 1)


class Rows:
    """The rows that a statement will be given, each a list of values in the order of `columns`.

    `rows[column]` is a value of theirs in a condition or an assignment.
    """

    def __init__(self, *columns: "Column[Any]") -> None:
        self.columns = columns
        self.given = Elements(bindparam(_PARAMETER, type_=Text())).table_valued("value", name="given")
        self._cells = [
            (NumberAt if isinstance(column.type, Integer) else TextAt)(self.given.c.value, literal_column(str(index)))
            for index, column in enumerate(columns)
        ]

    def __getitem__(self, column: "Column[Any]") -> ColumnElement[Any]:
        return self._cells[self.columns.index(column)]


def insert_rows(table: Table, *columns: "Column[Any]", same: Sequence["Column[Any]"] = ()) -> Insert:
    """Make an insert of rows with these columns; those of `same` have one value for all, given as `same_<column>`."""
    rows = Rows(*columns)
    constants = [bindparam(f"same_{column.name}", type_=column.type) for column in same]
    values = select(*(rows[column] for column in columns), *constants).select_from(rows.given)
    return insert(table).from_select([*columns, *same], values)


def execute_rows(connection: Connection, statement: UpdateBase, rows: Sequence[Sequence[Any]], **more: Any) -> None:
    """Run a statement on rows, unless there are none; `more` has its other parameters."""
    if rows:
        connection.execute(statement, {_PARAMETER: msgspec.json.encode(rows).decode(), **more})


class WideInsert:
    """An insert of rows with many columns.

    SQLite reads a row's JSON anew for each value that it takes out. With nine of them a parameter per value costs half as much:
    some rows in a statement, as each statement lets go of the interpreter (see `bulk_reading`).
    """

    def __init__(self, table: Table, *columns: "Column[Any]") -> None:
        self._as_json = insert_rows(table, *columns)
        quote = sqlite.dialect().identifier_preparer.quote
        names = ", ".join(quote(column.name) for column in columns)
        places = "(" + ", ".join("?" * len(columns)) + ")"
        # In sizes of which few make any number of rows: statements are prepared once as long as they are few.
        self._by_size = {
            size: f"INSERT INTO {quote(table.name)} ({names}) VALUES {', '.join([places] * size)}"  # noqa: S608 (names of ours)
            for size in _SIZES
        }

    def execute(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it on rows, each with a value for every column, unless there are none."""
        if connection.dialect.name != "sqlite":
            execute_rows(connection, self._as_json, rows)
            return
        first = 0
        for size, statement in self._by_size.items():
            while len(rows) - first >= size:
                connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows[first : first + size])))
                first += size
