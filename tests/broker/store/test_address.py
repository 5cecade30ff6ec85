"""Addresses of stores: what each spelling means, and what is refused by name and rule."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadInput
from broker.store.address import PostgresAddress, SqliteAddress, parse_address


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("sqlite:///./data/heliograph.db", "data/heliograph.db"),
        ("sqlite:///data/heliograph.db", "data/heliograph.db"),
        ("sqlite:////var/lib/heliograph.db", "/var/lib/heliograph.db"),
        ("sqlite:////a b/ü.db", "/a b/ü.db"),
    ],
)
def test_a_file_is_relative_or_absolute(text: str, file: str) -> None:
    assert parse_address(text) == SqliteAddress(Path(file))


@pytest.mark.parametrize(
    ("text", "host", "database", "query"),
    [
        ("postgresql://user:pw@db.test:5433/app", "db.test", "app", {}),
        ("postgresql://postgres:@/postgres?host=/run/pg", None, "postgres", {"host": "/run/pg"}),
        ("postgresql://u@h/d?sslmode=require", "h", "d", {"ssl": "require"}),
    ],
)
def test_a_server_is_reached_by_host_or_socket(text: str, host: str, database: str, query: dict[str, str]) -> None:
    address = parse_address(text)
    assert isinstance(address, PostgresAddress)
    assert (address.url.host, address.url.database, dict(address.url.query)) == (host, database, query)


def test_an_address_does_not_show_its_password() -> None:
    address = parse_address("postgresql://user:s3cret@h/d")
    assert isinstance(address, PostgresAddress)
    assert address.url.password == "s3cret"
    assert "s3cret" not in str(address.url) + repr(address)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must begin with"),
        ("heliograph.db", "must begin with"),
        ("mysql://u:s3cret@h/d", "must begin with"),
        ("postgresql+psycopg://u:s3cret@h/d", "must begin with"),
        ("postgresql://u:s3cret@h:port/d", "must begin with"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite://host/file", "nothing else"),
        ("sqlite:///file?mode=ro", "nothing else"),
        ("postgresql://u:s3cret@h", "must name a database"),
        ("postgresql://u:s3cret@h/d?pool=9", "unknown option 'pool'"),
    ],
)
def test_any_other_is_refused_without_being_quoted(text: str, rule: str) -> None:
    with pytest.raises(BadInput, match=rule) as refused:
        parse_address(text)
    assert refused.value.field == "store.url"
    assert "s3cret" not in str(refused.value)


@given(st.text() | st.from_regex(r"(sqlite|postgresql)://.{0,30}"))
def test_whatever_it_is_it_is_an_address_or_refused(text: str) -> None:
    try:
        parse_address(text)
    except BadInput as refused:
        assert refused.field == "store.url"
