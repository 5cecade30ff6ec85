"""Bring a database to the revision that this code knows."""

import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from broker.errors import BadInput
from broker.store import dialect

__all__ = ["migrate"]

_SCRIPTS: Final = Path(__file__).with_name("migrations")


def migrate(connection: Connection) -> None:
    """Apply the revisions that are missing, in the connection's transaction; processes that start together take turns.

    Raises:
        BadInput: The database holds a revision that this code does not know.
    """
    dialect.lock(connection, "migration")
    # Alembic narrates each run at INFO; the log belongs to our own events.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))  # read by ConfigParser, which expands %
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise BadInput("store.url", "names a database that a newer version of heliograph has migrated") from exc
