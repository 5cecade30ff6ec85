"""The port Control, sentence by sentence."""

import pytest

from broker.control import Disconnect, Distrust, Refresh, Selector, Subscribe, Unsubscribe

ANN = Selector("ann", client="c1")


@pytest.mark.parametrize(
    "command",
    [
        Subscribe(
            ANN,
            "news",
            info=b"{}",
            data=b'{"a":1}',
            expire_at=9,
            since_offset=3,
            since_epoch="abc",
            override={"presence": True},
        ),
        Unsubscribe(ANN, "news"),
        Disconnect(Selector(""), 3503, "force disconnect", whitelist=("c2", "c3")),
        Distrust(token_id="t1"),
        Distrust(user="ann", issued_before=5.5, channel="news"),
        Refresh(Selector("ann", session="s1"), expired=True, expire_at=7, info=b"{}"),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_command_is_carried_out_here_unchanged_when_send_returns(engine, node, command):
    await engine.control.send(command)
    assert node.performed == [command]


async def test_commands_are_carried_out_once_and_in_order(engine, node):
    commands = [Unsubscribe(ANN, f"ch{number}") for number in range(10)]
    for command in commands:
        await engine.control.send(command)
    assert node.performed == commands


async def test_this_node_answers_for_itself(engine, node):
    assert list(await engine.control.nodes()) == [node.info]


async def test_nodes_are_asked_anew_each_time(engine, node):
    await engine.control.nodes()
    node.info = type(node.info)("n1", "one", "1.0", num_clients=9, num_users=9, num_channels=9, num_subs=9, uptime=10)
    assert [known.num_clients for known in await engine.control.nodes()] == [9]


async def test_channels_are_told_with_their_numbers(engine, node):
    assert await engine.control.channels() == {"news": 3, "chat": 1}
    node.rooms = {}
    assert await engine.control.channels() == {}


async def test_a_users_connections_are_told_unchanged(engine, node):
    assert await engine.control.connections("ann") == {"c1": node.connection}
    assert await engine.control.connections("bob") == {}
