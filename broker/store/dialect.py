"""All that SQLite and PostgreSQL say differently; every other query of the store is written once.

Row locks need no word here: `with_for_update` says nothing on SQLite, where one writer at a time holds the whole file.
"""

from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, Dialect, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.schema import Table
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["Among", "Elements", "NumberAt", "TextAt", "TextList", "lock", "upsert"]


class TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter: an array, or its JSON.

    One parameter instead of one per text: no database bounds its length, and a statement stays the same text, prepared once.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" or value is None else msgspec.json.encode(value).decode()


class Among(FunctionElement[Any]):
    """`Among(column, bindparam(…, type_=TextList()))`: whether a column is one of the texts of a parameter.

    Not of type Boolean: SQLAlchemy would write `… = 1` behind it for SQLite, which then passes its indexes over.
    """

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


class Elements(FunctionElement[Any]):
    """`Elements(text)`: the elements of a JSON list, one per row, in a column `value`."""

    name = "elements"
    inherit_cache = True


class TextAt(FunctionElement[str]):
    """`TextAt(value, literal_column("0"))`: the text at a place of a JSON list, or NULL."""

    type = Text()
    name = "text_at"
    inherit_cache = True


class NumberAt(FunctionElement[int]):
    """`NumberAt(value, literal_column("0"))`: the whole number at a place of a JSON list, or NULL."""

    type = BigInteger()
    name = "number_at"
    inherit_cache = True


@compiles(Elements, "sqlite")
def _elements_sqlite(element: Elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(Elements, "postgresql")
def _elements_postgresql(element: Elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS JSON))"


@compiles(TextAt, "sqlite")
@compiles(NumberAt, "sqlite")
def _at_sqlite(element: TextAt | NumberAt, compiler: SQLCompiler, **_options: Any) -> str:
    value, place = (compiler.process(clause) for clause in element.clauses)
    return f"json_extract({value}, '$[{place}]')"


@compiles(TextAt, "postgresql")
def _text_at_postgresql(element: TextAt, compiler: SQLCompiler, **_options: Any) -> str:
    value, place = (compiler.process(clause) for clause in element.clauses)
    return f"({value} ->> {place})"


@compiles(NumberAt, "postgresql")
def _number_at_postgresql(element: NumberAt, compiler: SQLCompiler, **_options: Any) -> str:
    value, place = (compiler.process(clause) for clause in element.clauses)
    return f"CAST({value} ->> {place} AS BIGINT)"


def upsert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Begin an insert that says what becomes of a row that is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def lock(connection: Connection, *names: str) -> None:
    """Let nobody else who asks for the same names go on before this transaction has ended."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("\x1f".join(names), 0))))
