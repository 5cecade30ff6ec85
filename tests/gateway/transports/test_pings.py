"""Pings of every kind of WebSocket, answered by an independent library, by hand, or by nobody."""

import json

import pytest
import websockets
from websockets.frames import Opcode

SETTINGS = {"ping_interval": "10s", "pong_timeout": "4s"}
FRAMES = "/connection/websocket?cf_ws_frame_ping_pong=true"
UNI = "/connection/uni_websocket"


def client_of(gateway):
    (client,) = gateway.node.hub.clients()
    return client


def take_clock(gateway):
    """From now on time passes only where the test says so."""
    gateway.node.stop()


async def pinged(gateway):
    """Let time pass until the only client was asked for a pong."""
    client = client_of(gateway)
    await gateway.until(lambda: not client.awaits_pong)
    for _ in range(120):
        gateway.world.pass_time(0.1)
        if client.awaits_pong:
            return
    raise AssertionError("no ping within an interval")


def pass_timeout(gateway):
    gateway.world.pass_time(4.2)


def test_a_one_way_client_sees_pings_and_its_library_answers_frames(run, serving):
    async def main():
        async with serving(client=SETTINGS, uni_websocket={"enabled": True}) as gateway:
            async with websockets.connect(f"ws://127.0.0.1:{gateway.port}{UNI}", compression=None, ping_interval=None) as peer:
                await peer.send(json.dumps({"token": gateway.world.token()}))
                connect = json.loads(await peer.recv())["connect"]
                assert connect["ping"] == 10
                assert "pong" not in connect
                take_clock(gateway)
                for _ in range(4):
                    await pinged(gateway)
                    assert await peer.recv() == "{}"
                    await gateway.until(lambda: not client_of(gateway).awaits_pong)
                    pass_timeout(gateway)
                assert gateway.node.statistics().clients == 1
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


def test_a_one_way_client_whose_library_is_dead_ends(run, serving):
    async def main():
        async with serving(client=SETTINGS, uni_websocket={"enabled": True}) as gateway:
            peer = await gateway.open(path=UNI)
            peer.frame(Opcode.TEXT, json.dumps({"token": gateway.world.token()}).encode())
            await peer.message()
            take_clock(gateway)
            await pinged(gateway)
            # Nothing that it sends counts as an answer but a pong frame, and this test reads no frame before the time is over.
            peer.frame(Opcode.TEXT, b"{}")
            pass_timeout(gateway)
            gateway.node.start()
            assert await peer.message() == {}
            assert (await peer.next()).opcode is Opcode.PING
            assert await peer.message() == {"disconnect": {"code": 3012, "reason": "no pong"}}
            assert await peer.closed() == (3012, "no pong")

    run(main())


@pytest.mark.parametrize("protocol", ["json", "protobuf"])
def test_pings_as_frames_are_answered_by_the_library(run, serving, protocol):
    async def main():
        async with serving(client={**SETTINGS, "insecure": True}) as gateway:
            uri = f"ws://127.0.0.1:{gateway.port}{FRAMES}&format={protocol}"
            async with websockets.connect(uri, compression=None, ping_interval=None) as peer:
                is_json = protocol == "json"
                await peer.send('{"id":1,"connect":{}}' if is_json else b"\x04\x08\x01\x22\x00")
                reply = await peer.recv()
                if is_json:
                    assert json.loads(reply)["connect"].keys() == {"client", "version"}
                take_clock(gateway)
                for _ in range(4):
                    await pinged(gateway)
                    await gateway.until(lambda: not client_of(gateway).awaits_pong)
                    pass_timeout(gateway)
                assert gateway.node.statistics().clients == 1
                await peer.send('{"id":2,"unsubscribe":{"channel":"a"}}' if is_json else b"\x07\x08\x02\x32\x03\x0a\x01a")
                answer = await peer.recv()  # the first message since connect: no ping of the protocol came between
                assert answer == ('{"id":2,"unsubscribe":{}}' if is_json else b"\x04\x08\x02\x3a\x00")

    run(main())


def test_pings_as_frames_that_nobody_answers(run, serving):
    async def main():
        async with serving(client=SETTINGS) as gateway:
            peer = await gateway.connected(path=FRAMES)
            take_clock(gateway)
            await pinged(gateway)
            pass_timeout(gateway)
            gateway.node.start()
            assert (await peer.next()).opcode is Opcode.PING
            assert await peer.closed() == (3012, "no pong")

    run(main())


def test_a_pong_frame_is_no_answer_to_a_ping_of_the_protocol(run, serving):
    async def main():
        async with serving(client=SETTINGS) as gateway:
            peer = await gateway.connected()
            peer.frame(Opcode.PONG, b"")
            take_clock(gateway)
            await pinged(gateway)
            peer.frame(Opcode.PONG, b"")
            peer.command(id=2, unsubscribe={"channel": "a"})
            assert await peer.message() == {}
            assert await peer.message() == {"id": 2, "unsubscribe": {}}  # so the pong was read as well
            assert client_of(gateway).awaits_pong
            pass_timeout(gateway)
            gateway.node.start()
            assert await peer.closed() == (3012, "no pong")

    run(main())


def test_without_a_timeout_nobody_is_judged_and_one_pong_answers_one_ping(run, serving):
    """Connect says that no pong is needed. Who sends them anyhow may, as long as there is a ping for each."""

    async def main():
        async with serving(client={**SETTINGS, "pong_timeout": "0s"}) as gateway:
            peer = await gateway.open()
            result = await peer.connect(gateway.world.token())
            assert result["ping"] == 10
            assert "pong" not in result
            take_clock(gateway)
            for _ in range(3):
                await pinged(gateway)
                peer.command()
                await gateway.until(lambda: not client_of(gateway).awaits_pong)
            gateway.world.pass_time(30)
            assert gateway.node.statistics().clients == 1
            peer.command()
            peer.command()
            gateway.node.start()
            assert await peer.closed() == (3501, "bad request")

    run(main())
