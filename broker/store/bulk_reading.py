"""Many rows as one value: what a query finds comes as one JSON text, and is taken apart at once.

SQLite's driver lets go of the interpreter for each row that it steps to, and takes it up again. While the event loop is busy on
another core that is a race for each row: measured, 500 rows took 234 ms instead of 15. On PostgreSQL the driver reads a whole
answer itself, and rows stay rows.
"""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, LargeBinary, Select, Text, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

__all__ = ["BulkRead"]

R = TypeVar("R", bound=msgspec.Struct)


class BulkRead(Generic[R]):
    """A query for many rows.

    Args:
        row: A struct that is `array_like`, with a field for each column, in their order. A column of bytes must hold UTF-8,
            and comes as a text or as bytes; truth values come as 0 and 1.
        query: Its order is kept.
    """

    def __init__(self, row: type[R], query: Select[Any]) -> None:
        self._row, self._query = row, query
        found = query.subquery("found")
        self._as_json: Final = select(func.json_group_array(func.json_array(*map(_plain, found.c))))
        self._decoder: msgspec.json.Decoder[list[R]] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> list[R]:
        """Run it."""
        if connection.dialect.name == "sqlite":
            return self._decoder.decode(connection.execute(self._as_json, parameters).scalar_one())
        row = self._row
        return [row(*values) for values in connection.execute(self._query, parameters)]


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Have a value as JSON knows it. JSON within bytes stays a text: as a part of the whole it would have to be understood."""
    return cast(column, Text) if isinstance(column.type, LargeBinary) else column
