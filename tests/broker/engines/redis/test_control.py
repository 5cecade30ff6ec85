"""What only a fleet promises of control: commands reach every node once and in order, whatever one of them fails at."""

import pytest
import structlog

from broker.control import Disconnect, Distrust, Refresh, RulesChanged, Selector, Shed, Subscribe, Unsubscribe
from broker.errors import EngineUnavailable

ANN = Selector("ann", client="c1", session="s1")
COMMANDS = [
    Subscribe(ANN, "news", info=b"\xff", data=b'{"a":1}', expire_at=9, since_offset=3, since_epoch="e", override={"p": True}),
    Unsubscribe(ANN, "news"),
    Disconnect(Selector(""), 3503, "force disconnect", whitelist=["c2", "c3"]),
    Refresh(Selector("ann", session="s1"), expired=True, expire_at=7, info=b"{}"),
    Distrust(user="ann", issued_before=5.5, channel="news"),
    Shed("n1", 0.5, 2.0),
    RulesChanged("api_keys", 7),
]


async def test_commands_are_carried_out_everywhere_unchanged_once_and_in_order(join, until):
    one, two, three = await join(), await join(), await join()
    for command in COMMANDS:
        await one.fleet.control.send(command)
    for member in (one, two, three):
        await until(lambda member=member: len(member.node.performed) >= len(COMMANDS))
        assert member.node.performed == COMMANDS


async def test_a_command_that_fails_on_one_node_is_carried_out_on_the_others(join, until):
    one, two = await join(), await join()
    one.node.failure = RuntimeError("one connection failed")
    with pytest.raises(RuntimeError):
        await one.fleet.control.send(COMMANDS[1])
    await until(lambda: two.node.performed == [COMMANDS[1]])


async def test_a_command_that_fails_here_does_not_keep_the_next_from_being_carried_out(join, until):
    one, two = await join(), await join()
    two.node.failure = RuntimeError("one connection failed")
    with structlog.testing.capture_logs() as logs:
        await one.fleet.control.send(COMMANDS[1])
        await one.fleet.control.send(COMMANDS[2])
        await until(lambda: len(two.node.performed) == 2)
    assert [entry["event"] for entry in logs] == ["control.command_failed"] * 2


async def test_with_redis_away_a_command_is_carried_out_here_and_the_caller_told(join, cut_off):
    one = await join()
    with cut_off(one), pytest.raises(EngineUnavailable):
        await one.fleet.control.send(COMMANDS[1])
    assert one.node.performed == [COMMANDS[1]]
