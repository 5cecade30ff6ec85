"""`heliograph db`, on a file; what is PostgreSQL's own stands with the store's contracts."""

import sqlite3
from pathlib import Path

import pytest

from broker.store.migration import needed_revision
from broker.store.outbox_table import outbox_ddl

NEEDED = needed_revision().needed


@pytest.fixture
def file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store of these settings lies; it is not there yet."""
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", f"sqlite:///{directory}/new/store.db")
    return directory / "new" / "store.db"


def move_to(file: Path, revision: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


def test_upgrade_makes_the_tables_and_says_so(run, file) -> None:
    ended = run("db", "upgrade")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"The store went from no tables to revision {NEEDED}.\n"
    assert run("db", "check").out == f"The store is up to date, at revision {NEEDED}.\n"


def test_upgrade_twice_changes_nothing(run, file) -> None:
    run("db", "upgrade")
    assert run("db", "upgrade").out == f"The store was up to date already, at revision {NEEDED}.\n"


def test_current_and_check_make_nothing(run, file) -> None:
    assert run("db", "current").out == f"store: none\nneeded: {NEEDED}\n"
    checked = run("db", "check")
    assert (checked.code, checked.out) == (2, "")
    assert checked.problems == [
        f"heliograph: store.url: the store has no tables, needed is {NEEDED}: run `heliograph db upgrade`"
    ]
    assert not file.parent.exists()


def test_current_tells_where_it_stands(run, file) -> None:
    run("db", "upgrade")
    assert run("db", "current").out == f"store: {NEEDED}\nneeded: {NEEDED}\n"


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_a_newer_store_is_refused(run, file, command) -> None:
    run("db", "upgrade")
    move_to(file, "9999")
    ended = run("db", command)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.problems) == 1
    assert "newer" in ended.problems[0]
    assert ended.problems[0].endswith(("start that version, or restore a backup from before", "run the newer one"))
    assert run("db", "current").out == f"store: 9999\nneeded: {NEEDED}\n"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:s3cret@host/d", "must begin with sqlite:/// and a file, or with postgresql://"),
        (
            "postgresql://user:s3cret@127.0.0.1:1/d",
            "no PostgreSQL server answers at 127.0.0.1:1 (the connection was refused); check",
        ),
        (
            "postgresql://user:s3cret@/d?host=/nowhere/at/all",
            "no PostgreSQL server answers at /nowhere/at/all (there is no",
        ),
    ],
)
@pytest.mark.parametrize("command", ["upgrade", "current", "check"])
def test_a_store_that_cannot_be_used_is_one_line(run, monkeypatch, command, url, words) -> None:
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", url)
    ended = run("db", command)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.problems[0].startswith(f"heliograph: store.url: {words}")
    assert "s3cret" not in ended.err


def test_a_file_that_cannot_be_made_is_one_line(run, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", "sqlite:////dev/null/x/store.db")
    ended = run("db", "upgrade")
    assert (ended.code, ended.problems) == (2, ["heliograph: store.url: names a file that cannot be used: Not a directory"])


def test_outbox_prints_what_makes_the_table(run) -> None:
    ended = run("db", "outbox", "--table", "app.calls")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == outbox_ddl("app.calls")
    assert "CREATE TABLE heliograph_outbox (" in run("db", "outbox").out


def test_outbox_refuses_a_name_that_needs_quotes(run) -> None:
    ended = run("db", "outbox", "--table", "My Table")
    assert (ended.code, ended.out) == (2, "")
    assert ended.problems == ["heliograph db outbox: --table must be a name of a-z 0-9 _, up to 40 long, or schema.name"]


def test_it_helps(run) -> None:
    assert all(f"  {name} " in run("db", "--help").out for name in ("upgrade", "current", "check", "outbox"))
