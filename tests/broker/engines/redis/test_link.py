"""Calls over the link: pipelined, ordered, bounded in time, and back by themselves after whatever happened."""

import asyncio
from hashlib import sha1

import pytest

from broker.engines.redis.address import parse_address
from broker.engines.redis.link import Link, LinkStatistics
from broker.engines.redis.scripts import Script, load_script
from broker.errors import EngineUnavailable
from config.clock import ManualClock
from gateway.session.eager import step

pytestmark = pytest.mark.redis


def script(text):
    return Script("test", text, sha1(text.encode()).hexdigest())


@pytest.fixture
async def link(open_link):
    return await open_link()


@pytest.fixture
async def own(start_valkey, open_link):
    """A link to a server of the test's own."""
    server = start_valkey()
    return server, await open_link(url=server.connection_url)


async def test_a_script_gets_keys_and_arguments_and_answers(link):
    echo = script("return {KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]) + 1}")
    assert await link.run(echo, ["k"], [b"\x00\xff", "ü", 41]) == [b"k", b"\x00\xff", "ü".encode(), 42]


async def test_calls_for_one_key_are_carried_out_in_their_order(link):
    key = link.keys.plain("list", "")
    lengths = await asyncio.gather(*(link.command("RPUSH", key, number, key=key) for number in range(500)))
    assert lengths == list(range(1, 501))
    assert await link.command("LRANGE", key, 0, -1, key=key) == [b"%d" % number for number in range(500)]


async def test_a_caller_that_goes_away_harms_nobody(link):
    key = link.keys.plain("count", "")
    calls = [asyncio.ensure_future(link.command("INCR", key, key=key)) for _ in range(10)]
    await asyncio.sleep(0)
    calls[3].cancel()
    calls[7].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, int)] == [1, 2, 3, 5, 6, 7, 9, 10]


async def test_calls_may_be_stepped_outside_of_a_task(link):
    answers = []

    async def call():
        answers.append(await link.command("ECHO", "a"))
        answers.append(await link.run(script("return 1"), ["k"]))

    done = asyncio.get_running_loop().create_future()

    def begin():
        rest = step(call())
        done.set_result(rest)

    asyncio.get_running_loop().call_soon(begin)
    await asyncio.ensure_future(await done)
    assert answers == [b"a", 1]


async def test_forgotten_scripts_are_loaded_again(link):
    twice = script("return ARGV[1] * 2")
    assert await asyncio.gather(*(link.run(twice, ["k"], [number]) for number in range(20))) == list(range(0, 40, 2))
    await link.command("SCRIPT", "FLUSH")
    assert await asyncio.gather(*(link.run(twice, ["k"], [number]) for number in range(20))) == list(range(0, 40, 2))


async def test_a_refused_call_is_told_and_the_next_one_goes_on(link):
    with pytest.raises(EngineUnavailable, match="Redis refused: ERR broken"):
        await link.run(script("return redis.error_reply('ERR broken')"), ["k"])
    assert await link.command("PING") == b"PONG"


async def test_where_a_connection_breaks_the_next_calls_do_not_notice(link, raw):
    await link.command("PING")
    await raw.client_kill_filter(_type="normal", skipme=True)
    answers = []
    for _ in range(3):
        try:
            answers.append(await link.command("ECHO", "a"))
        except EngineUnavailable:
            answers.append(None)  # it was under way when the connection broke
    assert answers[-2:] == [b"a", b"a"]


async def test_where_redis_ended_calls_fail_at_once_and_go_on_when_it_is_back(own, reached):
    server, link = own
    assert link.state.is_connected
    server.stop()
    await reached(link, False)
    with pytest.raises(EngineUnavailable):
        await link.command("PING")  # waits for the first try to reach it again
    with pytest.raises(EngineUnavailable, match=r"Redis is away: .*Connect call failed"):
        await link.command("PING")
    assert "Connect call failed" in link.state.reason
    assert link.statistics() == LinkStatistics(servers=1, connected=0, topics=0)
    server.start()
    await reached(link, True)
    assert await link.command("PING") == b"PONG"


async def test_a_frozen_redis_is_given_up_in_bounded_time_and_found_again(start_valkey, open_link, reached, frozen):
    server = start_valkey()
    link = await open_link(url=server.connection_url, call_timeout=0.2, connect_timeout=0.2)
    with frozen(server):
        with pytest.raises(EngineUnavailable, match="it took too long"):
            await link.command("PING")
        with pytest.raises(EngineUnavailable, match="Redis is away"):
            await link.command("PING")  # waits for one try to connect
        with pytest.raises(EngineUnavailable, match="Redis is away"):
            await link.command("PING")
    await reached(link, True)
    assert await link.command("PING") == b"PONG"


async def test_silence_is_asked_so_an_idle_link_notices_too(start_valkey, broker_settings, reached, frozen):
    server = start_valkey()
    settings = broker_settings.model_copy(update={"url": server.connection_url, "call_timeout": 0.2, "connect_timeout": 0.2})
    clock = ManualClock()
    link = Link(parse_address(settings), settings, clock)
    await link.start()
    with frozen(server):
        await clock.advance(3)
        await reached(link, False)
    await link.close()


async def test_closing_fails_those_who_wait_and_may_come_twice(link):
    waiting = asyncio.ensure_future(link.command("BLPOP", link.keys.plain("none", ""), 0))
    await link.command("PING", key=link.keys.plain("none", ""))
    await link.close()
    with pytest.raises(EngineUnavailable):
        await waiting
    with pytest.raises(EngineUnavailable, match="closed"):
        await link.command("PING")
    await link.close()


async def test_a_link_that_was_never_opened_can_be_closed(broker_settings, clock):
    link = Link(parse_address(broker_settings), broker_settings, clock)
    assert not link.state.is_connected
    await link.close()


def test_scripts_of_several_files_are_one_text():
    composed = load_script("stream", "read")
    assert composed.name == "read"
    assert composed.text.startswith(load_script("stream").text)
    assert composed.sha == sha1(composed.text.encode()).hexdigest()
