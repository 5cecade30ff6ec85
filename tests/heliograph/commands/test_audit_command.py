"""`heliograph audit` on a file: what it prints, and how it ends where the audit is broken."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from broker.audit import Act, Decision
from broker.caller import Actor, ActorKind, Caller
from broker.store.store import open_store
from config.audit_settings import AuditSettings
from config.clock import ManualClock

KEY = "key-of-the-audit"
ANN = Caller(Actor(ActorKind.USER, "ann"), "192.0.2.7", "websocket", "client-1")


@pytest.fixture
def file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with an audit of three records."""
    file = directory / "store.db"
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", f"sqlite:///{file}")
    monkeypatch.setenv("HELIOGRAPH_AUDIT__HMAC_KEY", KEY)

    async def fill() -> None:
        clock = ManualClock()
        store = await open_store(f"sqlite:///{file}", clock=clock, audit=AuditSettings(hmac_key=KEY))
        for number in range(3):
            act = Act("channel.publish", f"channel:{number}", "ann", Decision.DENIED, "channel.without_namespace")
            store.audit.record(act, by=ANN)
            clock.move(60)
        await store.close()

    asyncio.run(fill())
    return file


def execute(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()


def test_verify_says_that_it_is_whole(run, file) -> None:
    head = run("audit", "head").out.strip()
    ended = run("audit", "verify", "--anchor", head)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"The audit is whole: 3 records, 1 to 3.\nhead: {head}\n"


def test_verify_tells_every_break_and_ends_as_refused(run, file) -> None:
    execute(file, "UPDATE audit_records SET rule = 'none' WHERE sequence = 1")
    execute(file, "DELETE FROM audit_records WHERE sequence = 3")
    ended = run("audit", "verify")
    assert (ended.code, ended.out) == (2, "")
    assert ended.problems == [
        "heliograph: the audit is broken: record 1 was changed, or does not follow the one before it",
        "heliograph: the audit is broken: the chain ends at 2, but its head is at 3: records were cut off",
    ]


def test_verify_without_the_key_says_that_it_is_missing(run, file, monkeypatch) -> None:
    monkeypatch.delenv("HELIOGRAPH_AUDIT__HMAC_KEY")
    (problem,) = run("audit", "verify").problems
    assert "record 1 is signed with a key that the settings do not name" in problem


def test_an_anchor_that_is_none_is_refused(run, file) -> None:
    (problem,) = run("audit", "verify", "--anchor", "7").problems
    assert problem.startswith("heliograph: --anchor: must be as `heliograph audit head` prints it")


def test_search_lists_the_newest_first(run, file) -> None:
    lines = run("audit", "search", "--limit", "2").out.splitlines()
    assert lines[0] == (
        "3 2026-01-01T00:02:00Z denied channel.publish user:ann resource=channel:2 user=ann "
        "rule=channel.without_namespace from=192.0.2.7 id=client-1"
    )
    assert len(lines) == 2
    found = run("audit", "search", "--from", "2026-01-01T00:01:00", "--to", "2026-01-01 00:02:00", "--json").out.splitlines()
    assert [json.loads(line)["sequence"] for line in found] == [2]
    nobody = run("audit", "search", "--user", "ben")
    assert (nobody.code, nobody.out, nobody.err) == (0, "", "There are none.\n")
    assert (
        run("audit", "search", "--from", "2026-01-01T01:01:00+01:00", "--to", "2026-01-01T00:02:00Z", "--json").out.splitlines()
        == found
    )
    (problem,) = run("audit", "search", "--from", "yesterday").problems
    assert problem.endswith("'--from': must be a moment such as 2026-01-31 or 2026-01-31T12:00:00Z")
    assert run("audit", "search", "--rule", "channel.*", "--limit", "2").out.splitlines() == lines
    assert run("audit", "search", "--rule", "channel").out == ""
    (problem,) = run("audit", "search", "--decision", "perhaps").problems
    assert problem.startswith("heliograph: --decision: must be one of granted,")


def test_export_writes_the_chain_in_its_order(run, file) -> None:
    records = [json.loads(line) for line in run("audit", "export").out.splitlines()]
    assert [record["sequence"] for record in records] == [1, 2, 3]
    assert records[0]["time"] == 1767225600.0
    assert {"hash", "key_id", "subject", "address_digest"} <= records[0].keys()
    assert [json.loads(line)["sequence"] for line in run("audit", "export", "--after", "2").out.splitlines()] == [3]


def test_a_store_that_is_not_there_is_not_made(run, directory, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", f"sqlite:///{directory}/new/store.db")
    ended = run("audit", "verify")
    assert (ended.code, ended.problems) == (2, ["heliograph: store.url: names a database that has no tables yet"])
    assert not (directory / "new").exists()


def test_an_empty_audit_is_said_to_be_empty(run, directory, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", f"sqlite:///{directory}/new/store.db")
    run("db", "upgrade")
    assert run("audit", "verify").out == f"The audit is empty.\nhead: 0:{'0' * 64}\n"
    assert run("audit", "export").out == ""
