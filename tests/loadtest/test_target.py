"""Addresses of servers."""

import pytest

from loadtest.target import BadTarget, Target, parse_target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", Target("127.0.0.1", 8000)),
        ("ws://example.test/", Target("example.test", 80)),
        ("https://example.test/rt/", Target("example.test", 443, tls=True, prefix="/rt")),
        ("[::1]:9000", Target("::1", 9000)),
        ("localhost:8000", Target("localhost", 8000)),
    ],
)
def test_addresses_are_taken_apart(url: str, expected: Target) -> None:
    assert parse_target(url) == expected


@pytest.mark.parametrize("url", ["ftp://example.test", "http://", "http://host:99999", "http://host:port"])
def test_addresses_that_cannot_be_tested_are_refused(url: str) -> None:
    with pytest.raises(BadTarget, match=r"port|scheme|host"):
        parse_target(url)


def test_an_address_is_written_as_people_do() -> None:
    assert parse_target("wss://[::1]:9000/x").url == "https://[::1]:9000/x"
