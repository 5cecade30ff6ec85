"""The store: the durable ports on one database, opened and closed as one. Composition roots open it by its address."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from broker.devices import Devices
from broker.errors import BadInput
from broker.ledger import Ledger
from broker.preferences import Preferences
from broker.store.address import PostgresAddress, SqliteAddress, parse_address
from broker.store.database import Database
from broker.store.devices import SqlDevices
from broker.store.ledger import SqlLedger
from broker.store.migration import migrate
from broker.store.moments import to_micros
from broker.store.postgresql import PostgresDatabase
from broker.store.preferences import SqlPreferences
from broker.store.recording import give_all_back
from broker.store.solitude import Solitude
from broker.store.sqlite import SqliteDatabase
from config.clock import Clock

__all__ = ["Store", "open_store"]


class Store:
    """An open store. Several processes may have the same one open."""

    ledger: Ledger
    devices: Devices
    preferences: Preferences

    def __init__(self, database: Database, clock: Clock, resources: AsyncExitStack, *, idempotency_ttl_s: float) -> None:
        self._resources = resources
        self.ledger = SqlLedger(database, clock, idempotency_ttl_s=idempotency_ttl_s)
        self.devices = SqlDevices(database, clock)
        self.preferences = SqlPreferences(database)

    async def close(self) -> None:
        """Finish the commits under way and let go of the database; may come twice. The ports are not used after it."""
        await self._resources.aclose()


async def open_store(url: str, *, clock: Clock, idempotency_ttl_s: float = 86400.0) -> Store:
    """Open the store at an address, bringing its tables up to date.

    Args:
        url: As `broker.store.address.parse_address` reads it; a SQLite file and its folder are made where they are absent.
        idempotency_ttl_s: How long an idempotency key counts as seen.
    Raises:
        BadInput: Naming `store.url`: the address is wrong, or what it names cannot be used.
        StoreUnavailable: The database did not answer; the same call may succeed later.
    """
    address = parse_address(url)
    async with AsyncExitStack() as resources:
        match address:
            case SqliteAddress(file):
                database = await _open_sqlite(file, clock, resources)
            case PostgresAddress(server):
                database = await _open_postgres(server, resources)
        return Store(database, clock, resources.pop_all(), idempotency_ttl_s=idempotency_ttl_s)


async def _open_sqlite(file: Path, clock: Clock, resources: AsyncExitStack) -> Database:
    try:
        solitude = await asyncio.to_thread(_take_place, file)
    except OSError as exc:
        raise BadInput("store.url", f"names a file that cannot be used: {exc.strerror}") from exc
    resources.callback(solitude.end)
    database = SqliteDatabase(file)
    resources.push_async_callback(database.close)

    def prepare(connection: Connection) -> None:
        migrate(connection)
        if solitude.is_alone:
            give_all_back(connection, to_micros(clock.now()))

    await database.prepare(prepare)
    await asyncio.to_thread(solitude.share)
    return database


def _take_place(file: Path) -> Solitude:
    """Make what is absent, and learn who else is there. Blocks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # it will hold addresses and messages; SQLite gives the files beside it the same mode
    return Solitude.seek(file)


async def _open_postgres(url: URL, resources: AsyncExitStack) -> Database:
    database = PostgresDatabase(url)
    resources.push_async_callback(database.close)
    await database.prepare(migrate)
    return database
