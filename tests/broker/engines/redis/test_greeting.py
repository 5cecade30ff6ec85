"""Which servers are fit, by what they say of themselves; and the line for each reason why a start fails."""

import re

import pytest
from redis import exceptions

from broker.engines.redis.address import parse_address
from broker.engines.redis.greeting import Unfit, check_info, explain
from broker.errors import EngineUnavailable
from config.settings import BrokerSettings

SINGLE = parse_address(BrokerSettings(url="redis://ann:secret@h:7"))
CLUSTER = parse_address(BrokerSettings(url="redis+cluster://h:7"))


def info(**said):
    return {"redis_version": "7.2.4", "cluster_enabled": "0", "role": "master", **said}


@pytest.mark.parametrize("version", ["6.2.0", "6.2", "7.0.15", "7.2.4", "8.0.0", "10.1.1", "255.255.255"])
def test_new_servers_are_fit(version):
    check_info(info(redis_version=version), SINGLE)


@pytest.mark.parametrize("version", ["6.0.16", "5.0.14", "2.8.24", "unknown"])
def test_old_servers_are_not(version):
    with pytest.raises(Unfit, match=r"too old; it must be Redis 6\.2 or later, or Valkey 8 or later"):
        check_info(info(redis_version=version), SINGLE)


def test_a_cluster_needs_sharded_pubsub():
    check_info(info(redis_version="7.0.0", cluster_enabled="1"), CLUSTER)
    with pytest.raises(Unfit, match="a cluster needs its sharded pub/sub"):
        check_info(info(redis_version="6.2.14", cluster_enabled="1"), CLUSTER)


def test_a_replica_is_not_fit():
    with pytest.raises(Unfit, match="is a replica"):
        check_info(info(role="slave"), SINGLE)


def test_address_and_server_must_agree_on_being_a_cluster():
    with pytest.raises(Unfit, match=r"begin the address with redis\+cluster://"):
        check_info(info(cluster_enabled="1"), SINGLE)
    with pytest.raises(Unfit, match="begin the address with redis://"):
        check_info(info(), CLUSTER)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Unfit("it is odd"), "broker.url: h:7: it is odd"),
        (TimeoutError(), r"does not answer within 1 s \(broker.connect_timeout\)"),
        (exceptions.AuthenticationError("WRONGPASS"), "check user and password"),
        (exceptions.BusyLoadingError("loading"), "still loading its data"),
        (exceptions.NoPermissionError("may not"), "the user 'ann' may not"),
        (exceptions.ResponseError("unknown command"), "refuses what is needed"),
        (exceptions.ConnectionError("[SSL: WRONG_VERSION_NUMBER]"), "no TLS connection"),
        (exceptions.ConnectionError("refused"), "cannot reach h:7"),
        (EngineUnavailable("Redis refused: NOPERM this"), "the user 'ann' may not"),
    ],
)
def test_each_reason_has_a_line_that_names_the_setting(failure, expected):
    line = explain(failure, SINGLE, timeout_s=1.0)
    assert line.startswith("broker.url: ")
    assert "\n" not in line
    assert "secret" not in line
    assert re.search(expected, line)
