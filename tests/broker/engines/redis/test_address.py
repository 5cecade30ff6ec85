"""Addresses of Redis, and what is wrong with others, without ever quoting them."""

import pytest

from broker.engines.redis.address import Address, Host, parse_address
from config.errors import SettingsError
from config.settings import BrokerSettings


def parse(url, **settings):
    return parse_address(BrokerSettings(url=url, **settings))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address("single", (Host("h", 6379),), "heliograph")),
        ("redis://h:7/3", Address("single", (Host("h", 7),), "heliograph", db=3)),
        ("redis://[::1]:7", Address("single", (Host("::1", 7),), "heliograph")),
        ("redis://:pw@h", Address("single", (Host("h", 6379),), "heliograph", password="pw")),
        (
            "redis://us%40er:p%2Fw%3A1@h",
            Address("single", (Host("h", 6379),), "heliograph", username="us@er", password="p/w:1"),
        ),
        ("rediss://h", Address("single", (Host("h", 6379),), "heliograph", uses_tls=True)),
        ("redis://h?prefix=a.b", Address("single", (Host("h", 6379),), "a.b")),
        (
            "redis+sentinel://u:p@a,b:7/mymaster/2",
            Address(
                "sentinel",
                (Host("a", 26379), Host("b", 7)),
                "heliograph",
                username="u",
                password="p",
                db=2,
                master="mymaster",
            ),
        ),
        (
            "rediss+sentinel://a/m",
            Address("sentinel", (Host("a", 26379),), "heliograph", uses_tls=True, master="m"),
        ),
        ("redis+cluster://a:1,b", Address("cluster", (Host("a", 1), Host("b", 6379)), "heliograph")),
        ("redis+unix:///run/v.sock?db=4", Address("unix", (Host("/run/v.sock", 0),), "heliograph", db=4)),
        ("redis+unix://:pw@/run/v.sock", Address("unix", (Host("/run/v.sock", 0),), "heliograph", password="pw")),
    ],
)
def test_addresses_are_read(url, expected):
    assert parse(url) == expected


def test_the_prefix_of_the_address_wins_over_the_setting():
    assert parse("redis://h", prefix="set").prefix == "set"
    assert parse("redis://h?prefix=told", prefix="set").prefix == "told"


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("kafka://u:secret@h", "must begin with redis://"),
        ("redis+mesh://u:secret@h", "must begin with redis://"),
        ("secret", "must begin with redis://"),
        ("redis://u:secret@", "must name a host"),
        ("redis://u:secret@h:0", "must name a host"),
        ("redis://u:secret@h:port", "has a port that is no number"),
        ("redis://u:secret@h:70000", "has a port that is no number"),
        ("redis://u:secret@[::1", "must begin with redis://"),
        ("redis://u:secret@a,b", "names several hosts"),
        ("redis://u:secret@h/db", "must end with the number of a database"),
        ("redis://u:secret@h/1/2", "must end with the number of a database"),
        ("redis+sentinel://u:secret@h", "must name the master"),
        ("redis+sentinel://u:secret@h/m/x", "must end with the number of a database"),
        ("redis+cluster://u:secret@h/1", "a cluster has only number 0"),
        ("redis+unix://", "must name the socket's path"),
        ("redis://u:secret@h?timeout=1", "has an unknown option 'timeout'"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(url, rule):
    with pytest.raises(SettingsError) as raised:
        parse(url)
    [problem] = raised.value.problems
    assert problem.startswith(f"broker.url: {rule}") or rule in problem
    assert "secret" not in problem


@pytest.mark.parametrize("prefix", ["", "a{b", "a}b", "a b", "ü", "x" * 65])
def test_a_prefix_must_not_move_keys(prefix):
    with pytest.raises(SettingsError, match=r"broker\.prefix"):
        parse("redis://h", prefix=prefix)


def test_files_of_tls_are_looked_for(tmp_path):
    with pytest.raises(SettingsError) as raised:
        parse("rediss://h", ca_file=str(tmp_path / "none.pem"), cert_file=__file__)
    assert [problem.partition(":")[0] for problem in raised.value.problems] == ["broker.ca_file", "broker.cert_file"]
    with pytest.raises(SettingsError, match="is only used with rediss://"):
        parse("redis://h", ca_file=__file__)
    assert parse("rediss://h", ca_file=__file__).uses_tls


def test_what_is_written_of_an_address_hides_the_password():
    address = parse("redis+cluster://user:secret@a:1,[::1]:2")
    assert repr(address) == "Address(cluster, a:1, [::1]:2, prefix=heliograph)"
