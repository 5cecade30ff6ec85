"""What drivers raise, in our words: by type and code, never by text."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy import exc
from sqlalchemy.engine import URL

from broker.errors import BadInput, StoreUnavailable

__all__ = ["opening_of", "translate", "translate_opening", "translated"]

# sqlite.org/rescode.html, primary codes: the file or the machine, not the statement.
_SQLITE_WORLD: Final = frozenset({3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 23, 26})
_SQLITE_BUSY: Final = frozenset({5, 6})
_SQLITE_ADDRESS: Final = {
    3: "names a file that may not be read and written",
    8: "names a file that may not be written",
    14: "names a file that cannot be opened",
    26: "names a file that is no SQLite database",
}

# PostgreSQL, appendix A, classes: connection, authorization, catalog, rollback, read-only transaction, resources, limits,
# operator intervention, system error.
_POSTGRES_WORLD: Final = ("08", "28", "3D", "40", "25006", "53", "54", "57", "58")
_POSTGRES_ADDRESS: Final = {
    "28": "names a user whom the server does not let in, or a wrong password",
    "3D": "names a database that does not exist: create it, or name another",
    "42501": "names a user who may not make or change our tables there",
}

_CHECK: Final = "check the address and whether the server runs"


@contextmanager
def translated(translator: Callable[[Exception], Exception]) -> Iterator[None]:
    """Raise what comes out of the body in our words; what is a bug, or ours already, as it is."""
    try:
        yield
    except Exception as exc:  # the adapter's edge: the one place where drivers are heard
        error = translator(exc)
        if error is exc:
            raise
        raise error from exc


def translate(error: Exception) -> Exception:
    """Tell what an error of a driver means to a caller.

    Returns:
        `StoreUnavailable` when the database did not answer, or could not; else the error itself, which is a bug of ours.
    """
    if isinstance(error, exc.DBAPIError):
        return _translate_answer(error)
    if isinstance(error, asyncpg.InterfaceError) or _sqlstate(error).startswith(_POSTGRES_WORLD):
        return StoreUnavailable("the store did not answer, or could not do it")
    # Before there is a connection, or when an answer takes too long, drivers raise what the system raised.
    if isinstance(error, (OSError, TimeoutError, exc.TimeoutError)):
        return StoreUnavailable("the store did not answer")
    return error


def translate_opening(error: Exception) -> Exception:
    """Tell what an error means while a store is opened: a wrong address is the operator's, not the world's."""
    sqlstate = _sqlstate(error)
    rule = _POSTGRES_ADDRESS.get(sqlstate) or _POSTGRES_ADDRESS.get(sqlstate[:2])
    if rule is None and isinstance(error, exc.DBAPIError):
        rule = _SQLITE_ADDRESS.get(_sqlite_code(error))
    return BadInput("store.url", rule) if rule else translate(error)


def opening_of(url: URL) -> Callable[[Exception], Exception]:
    """Make a `translate_opening` that also says which server did not answer, and why as far as the system knows."""

    def translate_here(error: Exception) -> Exception:
        translated = translate_opening(error)
        if not isinstance(translated, StoreUnavailable) or isinstance(error, exc.DBAPIError):
            return translated
        place = url.query.get("host") or f"{url.host or 'localhost'}:{url.port or 5432}"
        return StoreUnavailable(f"no PostgreSQL server answers at {place} ({_reason(error)}); {_CHECK}")

    return translate_here


def _reason(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "the connection was refused"
        case FileNotFoundError():
            return "there is no such socket"
        case socket.gaierror():
            return "the host is not known"
        case TimeoutError():
            return "it took too long"
        case _:
            return "it could not be reached"


def _translate_answer(error: exc.DBAPIError) -> Exception:
    if _sqlite_code(error) in _SQLITE_BUSY:
        return StoreUnavailable("the store is held by another process")
    is_world = (
        error.connection_invalidated
        or _sqlite_code(error) in _SQLITE_WORLD
        or _sqlstate(error).startswith(_POSTGRES_WORLD)
        or isinstance(error, exc.InterfaceError)
    )
    return StoreUnavailable("the store did not answer, or could not do it") if is_world else error


def _sqlite_code(error: exc.DBAPIError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF  # the upper bytes tell the kind within the primary code


def _sqlstate(error: Exception) -> str:
    """Tell PostgreSQL's code, of its driver's own errors and of what SQLAlchemy makes of them."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""
