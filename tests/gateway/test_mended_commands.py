"""Commands that wait, and what may overtake them."""

import asyncio

import pytest
import uvloop


class Gate:
    """An RPC method that waits until it is let through."""

    def __init__(self):
        self.open = asyncio.Event()

    async def __call__(self, user, data):
        await self.open.wait()
        return b"{}"


def pinged(world, client):
    while {} not in client.read():
        world.pass_time(0.1)


async def test_a_pong_overtakes_the_commands_that_wait(world):
    world = world(rpc_methods={"slow": Gate()})
    client = world.connected()
    client.send({"id": 2, "rpc": {"method": "slow"}}, {"id": 3, "rpc": {"method": "slow"}})
    pinged(world, client)
    client.send({})
    world.pass_time(9)
    assert client.closed is None


async def test_a_client_that_is_not_read_is_not_judged(world):
    gate = Gate()
    world = world(rpc_methods={"slow": gate})
    client = world.connected()
    client.send(*({"id": number, "rpc": {"method": "slow"}} for number in range(2, 200)))
    assert client.transport.is_paused
    pinged(world, client)
    world.pass_time(9)
    assert client.closed is None
    gate.open.set()
    await asyncio.sleep(0.001)
    assert not client.transport.is_paused
    pinged(world, client)
    world.pass_time(9)
    assert client.closed == (3012, "no pong")


async def test_an_unreadable_line_after_a_refused_connect_falls_with_it(world):
    client = world().client()
    token = world().token(exp=1)
    (reply,) = client.send_bytes(b'{"id":1,"connect":{"token":"%b"}}\nnonsense' % token.encode())
    assert reply["error"]["code"] == 109
    assert client.closed is None


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_two_commands_of_one_turn_may_wait_for_the_same_future(world, new_loop):
    async def main():
        shared = asyncio.get_running_loop().create_future()

        async def method(user, data):
            await shared
            return b"{}"

        made = world(rpc_methods={"shared": method})
        clients = [made.connected(user) for user in "abc"]
        for client in clients:
            client.send({"id": 2, "rpc": {"method": "shared"}})
        await asyncio.sleep(0)
        shared.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert [client.read() for client in clients] == [[{"id": 2, "rpc": {"data": {}}}]] * 3

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
