"""A database that the tests of a module share, empty for each of them: making its tables takes longer than the tests."""

import itertools
from collections.abc import Awaitable, Callable, Iterator

import pytest
from sqlalchemy import Connection, delete

from broker.store.schema import METADATA
from broker.store.store import Store

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> str:
    """The database under test."""
    return request.param


@pytest.fixture(scope="module")
def store_url(engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('audiences')}/heliograph.db"
        return
    server = request.getfixturevalue("postgres_server")
    name = f"audiences_{next(_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name}")
    yield server.get_uri(database=name)
    server.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def store(open_another: Callable[[], Awaitable[Store]]) -> Store:
    opened = await open_another()

    def empty(connection: Connection) -> None:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(delete(table))

    await opened.campaigns._database.write(empty)  # type: ignore[attr-defined]  # (no port empties a store)
    return opened
