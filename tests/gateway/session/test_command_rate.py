"""How fast a client may send: what fits, what is refused, and when it is too much."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import ManualClock
from gateway.session.command_rate import CommandRate, Pace

TOO_MANY = {"code": 111, "message": "too many requests", "temporary": True}
LIMITED = {"client": {"command_rate": {"per_s": 10, "burst": 5}}}


class Sender:
    commands_until = 0.0


def judged(rate, sender, count):
    return [rate.judge(sender) for _ in range(count)]


def ask(number):
    return {"id": number, "unsubscribe": {"channel": "a"}}


def test_a_burst_fits_and_comes_back_with_time():
    clock = ManualClock()
    rate, sender = CommandRate(10, 5, clock), Sender()
    assert judged(rate, sender, 6) == [Pace.FITS] * 5 + [Pace.TOO_FAST]
    clock.move(0.13)  # one interval and what the refused one took
    assert judged(rate, sender, 2) == [Pace.FITS, Pace.TOO_FAST]
    clock.move(3600)
    assert judged(rate, sender, 6) == [Pace.FITS] * 5 + [Pace.TOO_FAST]


def test_who_only_goes_on_is_ended():
    rate, sender = CommandRate(10, 5, ManualClock()), Sender()
    assert judged(rate, sender, 26) == [Pace.FITS] * 5 + [Pace.TOO_FAST] * 20 + [Pace.RECKLESS]


@pytest.mark.parametrize(("factor", "ends"), [(0.9, False), (1.5, False), (3.9, False), (4.5, True), (50, True)])
def test_only_more_than_four_times_the_rate_ends(factor, ends):
    clock = ManualClock()
    rate, sender = CommandRate(100, 10, clock), Sender()
    verdicts = []
    for _ in range(3000):
        clock.move(0.01 / factor)
        verdicts.append(rate.judge(sender))
    assert (Pace.RECKLESS in verdicts) == ends
    if not ends:
        fitting = verdicts.count(Pace.FITS) / len(verdicts)
        # What is refused costs a quarter: of 1.5 times the rate, h + (1.5 - h) / 4 = 1 gives h.
        assert fitting == pytest.approx(min(1.0, max(0.0, (4 - factor) / (3 * factor))), abs=0.02)


@given(
    per_s=st.floats(0.1, 10_000),
    burst=st.integers(1, 1000),
    waits=st.lists(st.floats(0, 30), max_size=200),
)
def test_never_more_than_the_burst_and_the_rate(per_s, burst, waits):
    clock = ManualClock()
    rate, sender, began = CommandRate(per_s, burst, clock), Sender(), clock.monotonic()
    fitting = 0
    for wait_s in waits:
        clock.move(wait_s)
        fitting += rate.judge(sender) is Pace.FITS
        assert fitting <= burst + (clock.monotonic() - began) * per_s + 0.01
    clock.move(4 * burst / per_s + 1)
    assert rate.judge(sender) is Pace.FITS


async def test_refused_commands_change_nothing_and_come_back(world):
    made = world(**LIMITED, channel={"without_namespace": {"allow_subscribe_for_client": True}})
    client = made.connected()  # the connect counts too
    assert [set(reply) for reply in client.send(*map(ask, range(2, 6)))] == [{"id", "unsubscribe"}] * 4
    assert client.send({"id": 6, "subscribe": {"channel": "a"}}) == [{"id": 6, "error": TOO_MANY}]
    assert "a" not in made.node.hub.channels()
    made.clock.move(0.2)
    assert "subscribe" in client.send({"id": 7, "subscribe": {"channel": "a"}})[0]
    assert made.node.hub.channels()["a"] == 1


async def test_without_a_rate_nothing_is_counted(world):
    client = world().connected()
    replies = client.send(*map(ask, range(2, 20_002)))
    assert len(replies) == 20_000
    assert all("unsubscribe" in reply for reply in replies)
    assert client.session.client.commands_until == 0.0


async def test_what_comes_with_connect_waits_for_its_reply_and_is_not_refused(world):
    made = world(**LIMITED)
    client = made.client()
    replies = client.send({"id": 1, "connect": {"token": made.token()}}, *map(ask, range(2, 7)))
    assert [reply["id"] for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert ["error" in reply for reply in replies] == [False] * 5 + [True]


async def test_pongs_are_not_counted(world):
    made = world(client={"command_rate": {"per_s": 0.001, "burst": 1}, "ping_interval": "1s", "pong_timeout": "500ms"})
    client = made.connected()
    for _ in range(5):
        while {} not in client.read():
            made.pass_time(0.1)
        assert client.send({}) == []
    assert client.closed is None


async def test_a_refused_send_has_no_reply(world):
    made = world(client={"command_rate": {"per_s": 1, "burst": 1}})
    client = made.connected()
    assert client.send({"send": {"data": 1}}) == []
    assert client.closed is None


async def test_a_frame_that_cannot_be_read_ends_it_however_fast(world):
    made = world(client={"command_rate": {"per_s": 1, "burst": 1}})
    client = made.connected()
    client.send_bytes(b"?")
    assert client.closed == (3501, "bad request")


class WaitingUsers:
    """Lets a connect wait for ever."""

    async def connected(self, _user, _client):
        await asyncio.get_running_loop().create_future()

    async def disconnected(self, _user, _client):
        pass


async def test_a_flood_while_connect_waits_ends_too(world):
    made = world(**LIMITED)
    made.engine.users = WaitingUsers()
    made.use_presence(made.engine.presence)
    client = made.client()
    assert client.send({"id": 1, "connect": {"token": made.token()}}, *map(ask, range(2, 26))) == []
    assert client.closed is None
    assert client.send(ask(26), ask(27)) == []
    assert client.closed == (3013, "too many requests")
    await made.node.tasks.drain(0)
