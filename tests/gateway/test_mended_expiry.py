"""Deadlines of connections and subscriptions: what holds whom for how long."""

import gc
from datetime import timedelta

import jwt
import pytest

from gateway.session.client import Client

OPEN = {"without_namespace": {"allow_subscribe_for_client": True}}
MONTH_S = 30 * 86400


def sub_token(world, channel="a", **claims):
    secret = world.settings.client.token.hmac_secret_key.get_secret_value()
    return jwt.encode({"sub": "42", "channel": channel, **claims}, secret, "HS256")


def is_alive(client_id):
    gc.collect()
    return any(isinstance(entry, Client) and entry.id == client_id for entry in gc.get_objects())


async def test_a_client_that_is_gone_is_not_held_until_its_token_expires(world):
    world = world()
    client = world.connected(exp=world.now() + MONTH_S)
    client.send({"id": 2, "subscribe": {"channel": "a", "token": sub_token(world, exp=world.now() + MONTH_S)}})
    client_id = client.session.client.id
    client.vanish()
    del client
    assert not is_alive(client_id)


async def test_one_that_never_connected_neither(world):
    world = world()
    client = world.client()
    client_id = client.session.client.id
    client.vanish()
    del client
    assert not is_alive(client_id)


async def test_refreshing_adds_no_entries(world):
    world = world(channel=OPEN)
    client = world.connected(exp=world.now() + 3600)
    client.send({"id": 2, "subscribe": {"channel": "a", "token": sub_token(world, exp=world.now() + 3600)}})
    before = len(world.node.wheel)
    for number in range(3, 203):
        expire_at = world.now() + 3600 + number % 7
        client.send({"id": number, "refresh": {"token": world.token(exp=expire_at)}})
        client.send({"id": number, "sub_refresh": {"channel": "a", "token": sub_token(world, exp=expire_at)}})
    assert len(world.node.wheel) == before
    assert client.closed is None


@pytest.mark.parametrize("first_s", [10, 100])
async def test_the_last_refresh_counts(world, first_s):
    world = world(client={"ping_interval": "0s"})
    client = world.connected(exp=world.now() + first_s)
    client.send({"id": 2, "refresh": {"token": world.token(exp=world.now() + 50)}})
    world.pass_time(50 + 24)
    assert client.closed is None
    world.pass_time(2)
    assert client.closed == (3005, "connection expired")


async def test_a_wall_clock_that_is_set_back_only_delays_the_end(world):
    world = world(client={"ping_interval": "0s"})
    client = world.connected(exp=world.now() + 10)
    other = world.connected()
    other.send({"id": 2, "subscribe": {"channel": "a", "token": sub_token(world, exp=world.now() + 10)}})
    world.pass_time(5)
    world.clock._now -= timedelta(seconds=20)
    world.pass_time(31)
    assert client.closed is None
    world.pass_time(25)
    assert client.closed == (3005, "connection expired")
    assert other.read()[-1]["push"]["unsubscribe"]["code"] == 2501


async def test_what_the_wheel_keeps_of_the_gone_is_forgotten_within_minutes(world):
    world = world()
    for _ in range(20):
        world.connected(exp=world.now() + MONTH_S).vanish()
    world.clock.move(601)
    world.node.wheel.turn()
    assert len(world.node.wheel) == 0


async def test_a_far_expiry_is_kept(world):
    world = world(client={"ping_interval": "0s"})
    client = world.connected(exp=world.now() + 86400)
    for _ in range(24 * 6 + 1):
        assert client.closed is None
        world.clock.move(600)
        world.node.wheel.turn()
    assert client.closed == (3005, "connection expired")
