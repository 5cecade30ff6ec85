"""Surveys: every living node is heard, none is waited for longer than the deadline, and answers may be long."""

import asyncio

import pytest
import structlog

from broker.control import ConnectionInfo, SubscriptionInfo, TokenInfo
from broker.engines.redis.messages import Answer, Ask
from broker.engines.redis.surveys import DEADLINE_S
from broker.errors import EngineUnavailable

CONNECTION = ConnectionInfo(
    "ann", "app", "2", "websocket", "json", 5, {"news": SubscriptionInfo(3, TokenInfo("t", 1.5))}, TokenInfo("t1"), b"\xff"
)


async def test_each_node_lists_both(join):
    one, two = await join(), await join()
    assert list(await one.fleet.control.nodes()) == [one.node.info, two.node.info]
    assert list(await two.fleet.control.nodes()) == [two.node.info, one.node.info]


async def test_numbers_of_a_channel_are_added_up(join):
    one, two, three = await join(), await join(), await join()
    one.node.rooms, two.node.rooms, three.node.rooms = {"a": 1, "b": 2}, {"b": 3, "c": 4}, {}
    assert await three.fleet.control.channels() == {"a": 1, "b": 5, "c": 4}
    assert await one.fleet.control.channels() == {"a": 1, "b": 5, "c": 4}
    assert one.node.rooms == {"a": 1, "b": 2}


async def test_connections_of_all_nodes_are_told_unchanged(join):
    one, two = await join(), await join()
    one.node.clients, two.node.clients = {"c1": CONNECTION}, {"c2": CONNECTION}
    assert await one.fleet.control.connections("ann") == {"c1": CONNECTION, "c2": CONNECTION}
    assert await one.fleet.control.connections("bob") == {}


async def test_many_channels_are_told_in_parts_that_do_not_stay(join, stored):
    one, two = await join(), await join()
    two.node.rooms = {f"channel:{number}": number % 7 + 1 for number in range(100_000)}
    one.node.rooms = {"channel:0": 5}
    assert await one.fleet.control.channels() == {**two.node.rooms, "channel:0": 6}
    assert await stored("answer") == set()


async def test_parts_that_nobody_fetches_go_by_themselves(join, stored, raw, until):
    one, two = await join(), await join()
    two.node.rooms = {f"channel:{number}": 1 for number in range(3000)}
    await one.fleet.intercom.tell_all(Ask(one.fleet.leases.node_id, 77, "channels"))
    await two.fleet.control.nodes()  # answered after it
    while len(keys := await stored("answer")) < 1:
        pass
    assert 0 < await raw.ttl(keys.pop()) <= 10


async def test_a_silent_node_is_waited_for_until_the_deadline(join, clock, cut_off):
    one, two, three = await join(), await join(), await join()
    with cut_off(three), structlog.testing.capture_logs() as logs:
        asked = asyncio.ensure_future(one.fleet.control.nodes())
        while not await arrived(asked, one):
            await clock.advance(DEADLINE_S / 100)
        assert list(await asked) == [one.node.info, two.node.info]
    (told,) = [entry for entry in logs if entry["event"] == "survey.incomplete"]
    assert told["missing"] == [three.fleet.leases.node_id]


async def test_a_node_whose_lease_has_ended_is_not_waited_for(join, cut_off):
    one, two = await join(), await join()
    await two.die()
    with cut_off(two):
        assert list(await one.fleet.control.nodes()) == [one.node.info]


async def test_with_redis_away_the_caller_is_told(join, cut_off):
    one = await join()
    with cut_off(one), pytest.raises(EngineUnavailable):
        await one.fleet.control.nodes()


async def test_late_and_foreign_answers_are_passed_over(join):
    one, two = await join(), await join()
    for survey in (0, 1, 99):
        await two.fleet.intercom.tell(one.fleet.leases.node_id, Answer(two.fleet.leases.node_id, survey, b"\x90"))
    assert list(await one.fleet.control.nodes()) == [one.node.info, two.node.info]


async def test_questions_may_be_asked_at_once(join):
    one, two = await join(), await join()
    two.node.rooms = {"a": 1}
    answers = await asyncio.gather(*(one.fleet.control.channels() for _ in range(20)), two.fleet.control.nodes())
    assert answers[:20] == [{"a": 1}] * 20
    assert len(answers[20]) == 2


async def test_an_answer_that_is_not_understood_leaves_the_others_whole(join):
    one, two, three = await join(), await join(), await join()
    three.fleet.control.on_command(Strange())
    with structlog.testing.capture_logs() as logs:
        assert list(await one.fleet.control.nodes()) == [one.node.info, two.node.info]
    assert [entry["node"] for entry in logs if entry["event"] == "survey.not_understood"] == [three.fleet.leases.node_id]


async def test_a_node_that_cannot_tell_is_passed_over_at_the_deadline(join, clock):
    one, two = await join(), await join()
    two.fleet.control.on_command(Broken())
    asked = asyncio.ensure_future(one.fleet.control.nodes())
    while not await arrived(asked, one):
        await clock.advance(DEADLINE_S / 100)
    assert list(await asked) == [one.node.info]
    two.fleet.control.on_command(two.node)
    assert list(await one.fleet.control.nodes()) == [one.node.info, two.node.info]


async def test_a_process_without_a_node_takes_part_and_is_not_listed(join):
    one, pusher = await join(), await join(has_node=False)
    assert list(await pusher.fleet.control.nodes()) == [one.node.info]
    assert list(await one.fleet.control.nodes()) == [one.node.info]
    assert await one.fleet.control.channels() == {}
    await one.fleet.users.connected("ann", "c1")
    assert await pusher.fleet.users.online(frozenset({"ann"})) == {"ann"}


class Strange:
    """A node of another version, which describes itself otherwise."""

    def describe(self):
        return {"id": 7}


class Broken:
    """A node with a bug."""

    def describe(self):
        raise RuntimeError("no idea")


async def arrived(asked: asyncio.Future[object], member: object) -> bool:
    """Give answers the time of a round trip."""
    await member.link.command("PING")  # type: ignore[attr-defined]
    return asked.done()
