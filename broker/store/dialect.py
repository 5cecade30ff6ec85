"""All that SQLite and PostgreSQL say differently; every other query of the store is written once.

Row locks need no word here: `with_for_update` says nothing on SQLite, where one writer at a time holds the whole file.
"""

import json
from typing import Any

from sqlalchemy import ARRAY, Boolean, Connection, Dialect, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.schema import Table
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["Among", "TextList", "lock", "upsert"]


class TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter: an array, or its JSON.

    One parameter instead of one per text: no database bounds its length, and a statement stays the same text, prepared once.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" or value is None else json.dumps(value)


class Among(FunctionElement[bool]):
    """`Among(column, bindparam(…, type_=TextList()))`: whether a column is one of the texts of a parameter."""

    type = Boolean()
    name = "among"
    inherit_cache = True


@compiles(Among, "sqlite")
def _among_json(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 (compiled clauses, no values)


@compiles(Among, "postgresql")
def _among_array(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({texts})"


def upsert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Begin an insert that says what becomes of a row that is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def lock(connection: Connection, *names: str) -> None:
    """Let nobody else who asks for the same names go on before this transaction has ended."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("\x1f".join(names), 0))))
