"""Stores to hold against the durable ports: a file, and a database on a real PostgreSQL server."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.devices import Registration
from broker.ledger import Step, StepKind
from broker.notification import ROUTES, Content, Device, Draft, Lane, Provider
from broker.store.store import Store, open_store, upgrade_store
from config.clock import ManualClock
from config.settings import StoreSettings

# On a busy machine a database may take its time; how long is too long has tests of its own.
PATIENT = StoreSettings(connect_timeout=60, pool_timeout=60, answer_timeout=90, statement_timeout=60)
_LEASE = timedelta(seconds=30)
_NUMBERS = itertools.count(1)

# Makes a database as it was before its first rows, for psql; a new one takes ten times as long.
EMPTY = r"""
\set ON_ERROR_STOP on
\connect kept
SET client_min_messages = warning;
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = 'kept' AND pid <> pg_backend_pid();
DO $$
DECLARE
    name text;
    has_rows boolean;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('TRUNCATE %I CASCADE', name);
        END IF;
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', name);
    END LOOP;
END $$;
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> str:
    """The database under test."""
    return request.param


@contextmanager
def database(server: Any, template: str) -> Iterator[str]:
    name = f"test_{next(_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.get_uri(database=name)
    server.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path}/new/heliograph.db"
        return
    with database(request.getfixturevalue("postgres_server"), "template1") as url:
        yield url


@pytest.fixture(scope="session")
def kept_url(postgres_server: Any) -> str:
    """The address of a database whose tables are made once for all tests, each of which empties it for the next one."""
    postgres_server.psql("CREATE DATABASE kept")
    url = str(postgres_server.get_uri(database="kept"))
    asyncio.run(upgrade_store(url, settings=PATIENT))
    return url


@pytest.fixture
def store_url(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database with its tables and without rows."""
    if engine == "sqlite":
        yield f"sqlite:///{request.getfixturevalue('store_file')}"
        return
    server = request.getfixturevalue("postgres_server")
    yield request.getfixturevalue("kept_url")
    server.psql(EMPTY)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_another(store_url: str, clock: ManualClock) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Open the database once more, as another process would."""
    stores: list[Store] = []

    async def open_one() -> Store:
        stores.append(await open_store(store_url, clock=clock, idempotency_ttl_s=3600, settings=PATIENT))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
async def store(open_another: Callable[[], Awaitable[Store]]) -> Store:
    return await open_another()


@pytest.fixture
def make_draft() -> Callable[..., Draft]:
    """Make a request to notify."""

    def make(*users: str, lane: Lane = Lane.NORMAL, ttl_s: float = 600.0, title: str = "Tide") -> Draft:
        content = Content(title, "Low at noon", msgspec.Raw(b'{"gauge":7}'), "water", "https://x.test/7", "", "tide")
        return Draft(users or ("ann",), content, lane, ROUTES, 5.0, 2.5, ttl_s, "request-1")

    return make


class Pipeline:
    """A worker of the pipeline as the ledger sees it, with a clock that the test moves."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.ledger, self.clock = store, store.ledger, clock
        self._numbers = itertools.count(1)

    def after(self, seconds: float) -> datetime:
        """A moment as seen from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    async def claim(
        self,
        quota: int = 100,
        *,
        worker: str = "w1",
        lanes: Sequence[Lane] = tuple(Lane),
        paused: frozenset[Provider] = frozenset(),
    ) -> Sequence[Step]:
        """Take what is due, for half a minute."""
        quotas = dict.fromkeys(lanes, quota)
        return await self.ledger.claim(worker, quotas, lease_until=self.clock.now() + _LEASE, paused=paused)

    async def claim_one(self, kind: StepKind = StepKind.PLAN, **more: object) -> Step:
        """Take the only step that is due."""
        (step,) = await self.claim(**more)  # type: ignore[arg-type]  # (a factory)
        assert step.kind is kind
        return step

    async def register(self, user: str = "ann", provider: Provider = Provider.FCM) -> Device:
        """Register a device with an address of its own, a moment after the one before."""
        self.clock.move(0.001)
        return await self.store.devices.register(Registration(user, provider, f"token-{next(self._numbers)}", "android"))


@pytest.fixture
def pipeline(store: Store, clock: ManualClock) -> Pipeline:
    return Pipeline(store, clock)


@pytest.fixture
def pipeline_on(clock: ManualClock) -> Callable[[Store], Pipeline]:
    return lambda store: Pipeline(store, clock)


@pytest.fixture
def together() -> Callable[..., Awaitable[list[object]]]:
    """Run several calls at the same time; what one raises is its answer."""

    async def run(*calls: Awaitable[object]) -> list[object]:
        return list(await asyncio.gather(*calls, return_exceptions=True))

    return run
