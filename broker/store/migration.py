"""The revision of a database's tables, and the way to the one that this code knows."""

import logging
from pathlib import Path
from typing import Final

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from broker.errors import BadInput
from broker.store import dialect

__all__ = ["Revisions", "check", "migrate", "needed_revision", "read_revisions"]

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_NEWER: Final = (
    "names a database that a newer version of heliograph has migrated: start that version, or restore a backup from before"
)


class Revisions(msgspec.Struct, frozen=True):
    """Where a database stands (empty: it has no tables of ours) and what this code needs."""

    current: str
    needed: str
    is_newer: bool = False

    @property
    def agree(self) -> bool:
        """Whether this code can work with the tables as they are."""
        return self.current == self.needed


def migrate(connection: Connection) -> None:
    """Apply the revisions that are missing, in the connection's transaction; processes that start together take turns.

    Raises:
        BadInput: The database holds a revision that this code does not know.
    """
    dialect.lock(connection, "migration")
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise BadInput("store.url", _NEWER) from exc


def read_revisions(connection: Connection) -> Revisions:
    """Look where a database stands, and change nothing."""
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision() or ""
    is_known = not current or current in {script.revision for script in scripts.walk_revisions()}
    return Revisions(current, scripts.get_current_head() or "", is_newer=not is_known)


def needed_revision() -> Revisions:
    """Tell what this code needs, of a database that is not there."""
    return Revisions("", ScriptDirectory.from_config(_config()).get_current_head() or "")


def check(connection: Connection) -> None:
    """Hold the database to what this code needs, for a start that must not change it.

    Raises:
        BadInput: It stands elsewhere; the text says what to do.
    """
    revisions = read_revisions(connection)
    if revisions.is_newer:
        raise BadInput("store.url", _NEWER)
    if not revisions.agree:
        stands = f"stands at revision {revisions.current}" if revisions.current else "has no tables yet"
        raise BadInput(
            "store.url", f"names a database that {stands}; this version needs {revisions.needed}: run `heliograph db upgrade`"
        )


def _config() -> Config:
    # Alembic narrates each run at INFO; the log belongs to our own events.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))  # read by ConfigParser, which expands %
    return config
