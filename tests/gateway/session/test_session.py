"""Framing, order and states: what a peer may send, and what ends the connection."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}


async def test_two_commands_in_one_frame_give_two_replies_in_one_frame(world):
    client = world(channel=OPEN).connected()
    replies = client.send({"id": 2, "subscribe": {"channel": "a"}}, {"id": 3, "unsubscribe": {"channel": "a"}})
    assert replies == [{"id": 2, "subscribe": {}}, {"id": 3, "unsubscribe": {}}]
    assert len(client.frames) == 1


async def test_connect_and_subscribe_in_one_frame(world):
    world = world(channel=OPEN)
    client = world.client()
    replies = client.send({"id": 1, "connect": {"token": world.token()}}, {"id": 2, "subscribe": {"channel": "a"}})
    assert [reply["id"] for reply in replies] == [1, 2]


@pytest.mark.parametrize(
    "frame",
    [b"", b"\n", b"nonsense", b'{"id":2,"subscribe":', b"[]", b'{"id":"x"}', b'{"id":2}', b'{"id":2,"ping":{}}', b"\xff\xfe"],
)
async def test_malformed_frames_end_the_connection(world, frame):
    client = world(channel=OPEN).connected()
    client.send_bytes(frame)
    assert client.closed == (3501, "bad request")


async def test_commands_before_a_fault_are_handled(world):
    client = world(channel=OPEN).connected()
    replies = client.send_bytes(b'{"id":2,"subscribe":{"channel":"a"}}\nnonsense')
    assert replies == [{"id": 2, "subscribe": {}}]
    assert client.closed == (3501, "bad request")


async def test_invalid_utf8_in_a_payload_ends_the_connection(world):
    client = world(channel=OPEN).connected()
    client.send_bytes(b'{"id":2,"publish":{"channel":"a","data":"\xff"}}')
    assert client.closed == (3501, "bad request")


async def test_a_trailing_newline_is_tolerated(world):
    client = world(channel=OPEN).connected()
    assert client.send_bytes(b'{"id":2,"unsubscribe":{"channel":"a"}}\n') == [{"id": 2, "unsubscribe": {}}]


async def test_unknown_fields_are_ignored_on_every_level(world):
    client = world(channel=OPEN).connected()
    command = {"id": 2, "flag": 1, "subscribe": {"channel": "a", "flag": 1, "phase": 3, "what": {"ever": []}}}
    assert client.send(command) == [{"id": 2, "subscribe": {}}]


@pytest.mark.parametrize("command", [{"id": 1, "subscribe": {"channel": "a"}}, {}, {"id": 1, "rpc": {"method": "x"}}])
async def test_the_first_command_must_be_connect(world, command):
    client = world().client()
    client.send(command)
    assert client.closed == (3501, "bad request")


async def test_a_second_connect_ends_the_connection(world):
    world = world()
    client = world.connected()
    client.send({"id": 2, "connect": {"token": world.token()}})
    assert client.closed == (3501, "bad request")


async def test_send_has_nobody_to_go_to(world):
    client = world().connected()
    client.send({"send": {"data": {}}})
    assert client.closed == (3508, "not available")


async def test_of_several_requests_the_first_counts(world):
    client = world(channel=OPEN).connected()
    command = {"id": 2, "subscribe": {"channel": "a"}, "unsubscribe": {"channel": "a"}}
    assert client.send(command) == [{"id": 2, "subscribe": {}}]


async def test_ping_and_pong(world):
    world = world()
    client = world.connected()
    pings = 0
    for _ in range(100):
        world.pass_time(1)
        if {} in client.read():
            pings += 1
            client.send({})
    assert client.closed is None
    # Every 25 s, the first one in the second half of the first interval.
    assert pings in (3, 4)


async def test_a_missing_pong_ends_the_connection(world):
    world = world()
    client = world.connected()
    world.pass_time(25.5 + 8.2)
    assert client.closed == (3012, "no pong")


async def test_a_pong_nobody_asked_for_ends_the_connection(world):
    client = world().connected()
    client.send({})
    assert client.closed == (3501, "bad request")


async def test_nothing_is_handled_after_the_disconnect(world):
    world = world(channel=OPEN)
    client = world.connected()
    client.send({"id": 2, "connect": {}}, {"id": 3, "subscribe": {"channel": "a"}})
    assert world.node.hub.channels() == {}


async def test_an_error_of_ours_is_code_100_without_details(world):
    async def broken(user: str, data: bytes) -> bytes:
        raise ZeroDivisionError("secret detail")

    client = world(rpc_methods={"broken": broken}).connected()
    (reply,) = client.send({"id": 2, "rpc": {"method": "broken"}})
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    assert client.closed is None


class Gate:
    """An RPC method that waits until it is let through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, user: str, data: bytes) -> bytes:
        await self.open.wait()
        return b'"through"'


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_commands_run_in_order_while_one_waits(world):
    gate = Gate()
    client = world(channel=OPEN, rpc_methods={"gate": gate}).connected()
    assert client.send({"id": 2, "rpc": {"method": "gate"}}, {"id": 3, "subscribe": {"channel": "a"}}) == []
    gate.open.set()
    await _turns()
    assert [reply["id"] for reply in client.read()] == [2, 3]


async def test_concurrency_lets_replies_overtake(world):
    gate = Gate()
    client = world(channel=OPEN, client={"concurrency": 4}, rpc_methods={"gate": gate}).connected()
    replies = client.send({"id": 2, "rpc": {"method": "gate"}}, {"id": 3, "publish": {"channel": "a", "data": {}}})
    assert [reply["id"] for reply in replies] == [3]
    gate.open.set()
    await _turns()
    assert [reply["id"] for reply in client.read()] == [2]


async def test_a_long_backlog_stops_the_reading(world):
    gate = Gate()
    client = world(channel=OPEN, rpc_methods={"gate": gate}).connected()
    client.send({"id": 2, "rpc": {"method": "gate"}})
    for number in range(200):
        client.send({"id": 3 + number, "publish": {"channel": "a", "data": {}}})
    assert client.transport.is_paused
    gate.open.set()
    await _turns()
    assert not client.transport.is_paused
    assert [reply["id"] for reply in client.read()] == list(range(2, 203))


async def test_a_client_that_vanishes_while_a_command_waits(world):
    gate = Gate()
    world = world(channel=OPEN, rpc_methods={"gate": gate})
    client = world.connected()
    client.send({"id": 2, "rpc": {"method": "gate"}}, {"id": 3, "subscribe": {"channel": "a"}})
    client.vanish()
    gate.open.set()
    await _turns()
    assert client.read() == []
    assert world.node.statistics().clients == 0
    assert world.node.statistics().subscriptions == 0


@given(st.lists(st.binary(max_size=100) | st.sampled_from([b'{"id":2,"connect":{}}', b"{}", b'{"id":1,"rpc":{}}']), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_any_bytes_end_in_a_reply_or_a_disconnect(world, frames):
    async def run() -> None:
        client = world(client={"insecure": True}).client()
        for frame in frames:
            client.send_bytes(frame)
        client.vanish()
        assert client.node.statistics().clients == 0

    asyncio.run(run())
