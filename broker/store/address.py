"""Addresses of stores, as `store.url` spells them."""

from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from broker.errors import BadInput

__all__ = ["PostgresAddress", "SqliteAddress", "parse_address"]

_FORMS: Final = "must begin with sqlite:/// and a file, or with postgresql://"

# Options of an address, as libpq spells them, and how asyncpg calls them.
_OPTIONS: Final = {"host": "host", "port": "port", "sslmode": "ssl"}


class SqliteAddress(msgspec.Struct, frozen=True):
    """A database in a file."""

    file: Path


class PostgresAddress(msgspec.Struct, frozen=True):
    """A database on a server; `url` names the driver already and hides its password when it is written."""

    url: URL


def parse_address(text: str) -> SqliteAddress | PostgresAddress:
    """Read an address: `sqlite:///relative`, `sqlite:////absolute`, `postgresql://user:pw@host/db[?host=/socket/dir]`.

    Raises:
        BadInput: Naming `store.url`; its text never quotes the address, which may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise BadInput("store.url", _FORMS) from None
    match url.drivername:
        case "sqlite":
            return _parse_sqlite(url)
        case "postgresql":
            return _parse_postgres(url)
        case _:
            raise BadInput("store.url", _FORMS)


def _parse_sqlite(url: URL) -> SqliteAddress:
    if url.host or url.username or url.query:
        raise BadInput("store.url", "must be sqlite:///relative/file or sqlite:////absolute/file, with nothing else")
    if not url.database or url.database.startswith(":memory:"):
        raise BadInput("store.url", "must name a file: what is only in memory is not durable")
    return SqliteAddress(Path(url.database))


def _parse_postgres(url: URL) -> PostgresAddress:
    if unknown := sorted(set(url.query) - set(_OPTIONS)):
        raise BadInput("store.url", f"has an unknown option {unknown[0][:32]!r}, known are {', '.join(_OPTIONS)}")
    if not url.database:
        raise BadInput("store.url", "must name a database: postgresql://user:password@host/database")
    query = {_OPTIONS[name]: value for name, value in url.query.items()}
    return PostgresAddress(url.set(drivername="postgresql+asyncpg", query=query))
