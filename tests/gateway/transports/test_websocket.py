"""WebSocket over real sockets: the handshake, the frames that peers may and may not send, and every way to an end."""

import asyncio
import json
import socket

import pytest
import websockets
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode

from broker.model import Publication, PublishOptions
from config.settings import Settings
from gateway.transports.handshake import PATH, Welcome, choose_subprotocol, judge

OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}
NOT_KEPT = PublishOptions()


async def publish(gateway, data, channel="a"):
    await gateway.world.engine.pubsub.publish(channel, Publication(data), NOT_KEPT)


async def data_of(peer):
    return (await peer.message())["push"]["pub"]["data"]


def test_without_a_subprotocol_it_is_json(run, serving):
    async def main():
        async with serving() as gateway:
            peer, response = await gateway.knock()
            assert response.status_code == 101
            assert "Sec-WebSocket-Protocol" not in response.headers
            assert "client" in await peer.connect(gateway.world.token())

    run(main())


def test_the_json_subprotocol_is_echoed(run, serving):
    async def main():
        async with serving() as gateway:
            _, response = await gateway.knock(subprotocols=["centrifuge-json"])
            assert response.headers["Sec-WebSocket-Protocol"] == "centrifuge-json"

    run(main())


def test_the_origin_of_a_page_is_remembered_once_for_all(run, serving):
    async def main():
        async with serving(client={"allowed_origins": ["https://app.example"]}) as gateway:
            for _ in range(2):
                peer, _ = await gateway.knock(headers={"Origin": "https://app.example", "User-Agent": "x"})
                await peer.connect(gateway.world.token())
            one, two = (session.client.transport.headers for session in gateway.node.sessions)
            assert one == {"origin": "https://app.example"}
            assert one is two

    run(main())


def test_an_empty_offer_of_subprotocols_counts_as_none(run, serving):
    async def main():
        async with serving() as gateway:
            peer, response = await gateway.knock(headers={"Sec-WebSocket-Protocol": ""})
            assert response.status_code == 101
            assert "client" in await peer.connect(gateway.world.token())

    run(main())


@pytest.mark.parametrize(
    ("options", "echoed", "opcode"),
    [
        ({"subprotocols": ["centrifuge-protobuf"]}, "centrifuge-protobuf", Opcode.BINARY),
        ({"subprotocols": ["something", "centrifuge-protobuf"]}, "centrifuge-protobuf", Opcode.BINARY),
        ({"path": PATH + "?format=protobuf"}, None, Opcode.BINARY),
        ({"path": PATH + "?cf_protocol=protobuf"}, None, Opcode.BINARY),
        ({"path": PATH + "?format=json"}, None, Opcode.TEXT),
    ],
)
def test_how_the_encoding_is_chosen(options, echoed, opcode):
    request = Headers([("Sec-WebSocket-Protocol", name) for name in options.get("subprotocols", ())])
    judged = judge(options.get("path", PATH), request, Settings(), lambda: None)
    assert isinstance(judged, Welcome)
    assert choose_subprotocol(options.get("subprotocols", ())) == echoed
    assert judged.wire.ping_frame[0] == 0x80 | opcode


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ({"path": "/connection/nothing"}, 404, b"not found"),
        ({"path": PATH + "/below"}, 404, b"not found"),
        ({"path": "/api/publish"}, 404, b"not found"),
        ({"origin": "https://elsewhere.example"}, 403, b"client.allowed_origins"),
        ({"headers": {"Sec-WebSocket-Version": "8"}}, 400, b"Sec-WebSocket-Version"),
        ({"headers": {"Sec-WebSocket-Key": "short"}}, 400, b"Sec-WebSocket-Key"),
    ],
)
def test_what_is_refused_before_the_upgrade(run, serving, options, status, says):
    async def main():
        async with serving(client={"allowed_origins": ["https://app.example"]}) as gateway:
            peer, response = await gateway.knock(**options)
            assert response.status_code == status
            assert says in response.body
            assert await peer.reader.read() == b""
            assert gateway.node.statistics().transports == 0

    run(main())


@pytest.mark.parametrize("origin", ["https://app.example", "https://one.apps.example", None])
def test_origins_that_may_come(run, serving, origin):
    async def main():
        async with serving(client={"allowed_origins": ["https://app.example", "https://*.apps.example"]}) as gateway:
            await gateway.open(origin=origin)

    run(main())


def test_beyond_the_connection_limit_nothing_is_upgraded(run, serving):
    async def main():
        async with serving(client={"connection_limit": 2}) as gateway:
            first, _ = await gateway.open(), await gateway.open()
            peer, response = await gateway.knock()
            assert response.status_code == 503
            assert await peer.reader.read() == b""
            first.frame(Opcode.CLOSE, b"\x03\xe8")
            await first.closed()
            await gateway.until(lambda: gateway.node.statistics().transports == 1)
            await gateway.open()

    run(main())


def test_a_refused_peer_that_holds_on_is_dropped(run, serving):
    async def main():
        async with serving() as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            request = "GET /connection/nothing HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            writer.write(f"{request}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
            # It never ends its side; that writing fails shows that nobody holds the connection any more.
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(30):
                    while True:
                        writer.write(b"x")
                        await writer.drain()
                        await asyncio.sleep(0)

    run(main())


def test_without_an_upgrade_the_address_says_what_it_is(run, serving):
    async def main():
        async with serving() as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
            writer.close()

    run(main())


def test_drain_tells_connected_clients_and_those_who_are_not_yet(run, serving):
    async def main():
        async with serving() as gateway:
            connected, silent = await gateway.connected(), await gateway.open()
            draining = asyncio.create_task(gateway.node.drain(4.0))
            assert await connected.closed() == (3001, "shutdown")
            assert await silent.closed() == (3001, "shutdown")
            connected.writer.close()
            silent.writer.close()
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            await gateway.world.clock.advance(0.1)
            await draining

    run(main())


def test_who_comes_during_the_drain_is_told_at_once(run, serving):
    async def main():
        async with serving() as gateway:
            gateway.node.is_draining = True
            peer = await gateway.open()
            assert await peer.closed() == (3001, "shutdown")

    run(main())


def test_the_drain_ends_with_a_peer_that_does_not_answer(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            draining = asyncio.create_task(gateway.node.drain(1.0))
            await gateway.until(lambda: gateway.node.is_draining)
            for _ in range(100):
                await gateway.world.clock.advance(0.02)
            await draining
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert await peer.closed() == (3001, "shutdown")

    run(main())


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ({"id": 2, "connect": {}}, (3501, "bad request")),
        ({"send": {"data": 1}}, (3508, "not available")),
        ({"id": 2, "refresh": {"token": "x"}}, (3500, "invalid token")),
    ],
)
def test_close_frames_carry_code_and_reason(run, serving, command, closed):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            peer.command(**command)
            assert await peer.closed() == closed
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


def test_a_message_of_just_the_limit_passes_and_one_byte_more_is_1009(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket={"message_size_limit": 2048}) as gateway:
            peer, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            frame = b'{"id":3,"publish":{"channel":"a","data":"%s"}}'
            room = 2048 - len(frame % b"")
            peer.frame(Opcode.TEXT, frame % (b"x" * room))
            assert len(await data_of(bystander)) == room
            peer.frame(Opcode.TEXT, frame % (b"x" * (room + 1)))
            code, reason = await peer.closed()
            assert code == 1009
            assert reason
            await publish(gateway, b"1")
            assert await data_of(bystander) == 1

    run(main())


def test_the_fault_is_told_also_to_a_peer_that_goes_on_sending(run, serving):
    # Closed with bytes unread, the socket would be reset, and the peer might never see the close frame.
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer = await gateway.connected()
            peer.raw(Frame(Opcode.TEXT, b"x" * 4_000_000).serialize(mask=True))
            await peer.writer.drain()
            assert (await peer.closed())[0] == 1009

    run(main())


def test_the_limit_holds_for_a_message_in_fragments(run, serving):
    async def main():
        async with serving(channel=OPEN, websocket={"message_size_limit": 2048}) as gateway:
            peer = await gateway.connected()
            peer.frame(Opcode.TEXT, b"x" * 1500, fin=False)
            peer.frame(Opcode.CONT, b"x" * 1500)
            assert (await peer.closed())[0] == 1009

    run(main())


def test_fragments_with_control_frames_between(run, serving):
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer = await gateway.connected()
            message = '{"id":2,"rpc":{"method":"ä€𝄞"}}'.encode()
            pieces = [message[at : at + 1] for at in range(len(message))]
            peer.frame(Opcode.TEXT, pieces[0], fin=False)
            for piece in pieces[1:-1]:
                peer.frame(Opcode.PING, piece)
                peer.frame(Opcode.CONT, piece, fin=False)
            peer.frame(Opcode.CONT, b"", fin=False)
            peer.frame(Opcode.CONT, pieces[-1])
            for piece in pieces[1:-1]:
                pong = await peer.next()
                assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, piece)
            assert (await peer.message())["error"]["code"] == 108

    run(main())


def test_binary_frames_are_read_like_text(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            peer.frame(Opcode.BINARY, b'{"id":2,"unsubscribe":{"channel":"a"}}')
            assert await peer.message() == {"id": 2, "unsubscribe": {}}

    run(main())


def test_bytes_may_come_one_by_one(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            for byte in Frame(Opcode.TEXT, b'{"id":2,"unsubscribe":{"channel":"a"}}').serialize(mask=True):
                peer.raw(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0)
            assert await peer.message() == {"id": 2, "unsubscribe": {}}

    run(main())


def test_many_frames_in_one_segment_give_one_frame(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            frames = [b'{"id":%d,"unsubscribe":{"channel":"a"}}' % number for number in range(2, 7)]
            peer.raw(b"".join(Frame(Opcode.TEXT, frame).serialize(mask=True) for frame in frames))
            frame = await peer.next()
            assert bytes(frame.data).count(b"\n") == 4

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.TEXT, b"{}").serialize(mask=False),
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that is not defined
        b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126,  # a ping of 126 bytes
        b"\x09\x80\x00\x00\x00\x00",  # a ping in fragments
        b"\x80\x80\x00\x00\x00\x00",  # a continuation of nothing
        b"\x88\x81\x00\x00\x00\x00a",  # a close frame with half a code
    ],
)
def test_faults_of_the_framing_are_1002_and_harm_nobody(run, serving, data):
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            peer.raw(data)
            assert (await peer.closed())[0] == 1002
            await gateway.until(lambda: gateway.node.statistics().clients == 1)
            await publish(gateway, b"1")
            assert await data_of(bystander) == 1

    run(main())


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize(
    "payload",
    [
        b'{"id":3,"publish":{"channel":"a","data":"\\ud800"',
        b"",
        b"\x00",
        b'{"id":3,"publish":{"channel":"a","data":' + b"[" * 30000 + b"]" * 30000 + b"}}",
        b'{"id":' + b"9" * 5000 + b"}",
    ],
)
def test_payloads_that_cannot_be_read_are_3501_and_harm_nobody(run, serving, payload, opcode):
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            peer.frame(opcode, payload)
            assert await peer.closed() == (3501, "bad request")
            await publish(gateway, b"1")
            assert await data_of(bystander) == 1

    run(main())


@pytest.mark.parametrize(
    "payload", [b'{"id":3,"publish":{"channel":"a","data":"\xff"}}', b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x82"]
)
@pytest.mark.parametrize(("opcode", "code"), [(Opcode.TEXT, 1007), (Opcode.BINARY, 3501)])
def test_text_that_is_not_utf8_is_a_fault_of_the_framing(run, serving, payload, opcode, code):
    # RFC 6455 §8.1; in a binary frame nobody has said that it would be text, and it is just no command.
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            peer.frame(opcode, payload)
            peer.command(id=4, publish={"channel": "a", "data": "after it"})
            assert (await peer.closed())[0] == code
            await publish(gateway, b"1")
            assert await data_of(bystander) == 1

    run(main())


async def _say_goodbye(peer):
    peer.frame(Opcode.CLOSE, b"\x03\xe8")


async def _end_the_stream(peer):
    peer.writer.write_eof()


async def _break_the_framing(peer):
    peer.raw(b"\xf1\x80\x00\x00\x00\x00")


async def _reset(peer):
    connection = peer.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    peer.writer.transport.abort()


@pytest.mark.parametrize("leave", [_say_goodbye, _end_the_stream, _break_the_framing, _reset])
def test_a_peer_that_leaves_in_the_middle_of_publications_costs_nobody_theirs(run, serving, leave):
    # Whatever way it goes, its transport takes no more writes; the room's other members must not notice.
    async def main():
        async with serving(channel=OPEN) as gateway:
            leaver, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            await leave(leaver)
            sent = 0
            while gateway.node.statistics().clients > 1 or sent < 50:
                sent += 1
                await publish(gateway, b"%d" % sent)
                await asyncio.sleep(0)
            got = 0
            while got < sent:
                frame = await bystander.next()
                got += bytes(frame.data).count(b"\n") + 1
            assert got == sent
            await gateway.until(lambda: gateway.node.statistics().clients == 1)

    run(main())


@pytest.mark.parametrize("leave", [_say_goodbye, _end_the_stream, _break_the_framing])
def test_a_half_open_peer_is_gone_from_the_rooms_at_once_and_dropped_soon(run, serving, leave):
    async def main():
        async with serving(channel=OPEN, client={"ping_interval": "0s"}) as gateway:
            peer = await gateway.subscribed("1")
            await leave(peer)
            await gateway.until(lambda: gateway.node.statistics().clients == 0)
            assert gateway.node.hub.channels() == {}
            # It keeps its own side open for ever.
            gateway.world.clock.move(6)
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


def test_a_close_frame_is_answered_with_its_own_code(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            peer.frame(Opcode.CLOSE, b"\x0f\xa1bye")
            assert await peer.closed() == (4001, "bye")

    run(main())


def test_commands_before_a_goodbye_in_the_same_segment_are_done(run, serving):
    async def main():
        async with serving(channel=OPEN) as gateway:
            peer, bystander = await gateway.subscribed("1"), await gateway.subscribed("2")
            command = Frame(Opcode.TEXT, b'{"id":3,"publish":{"channel":"a","data":7}}')
            peer.raw(command.serialize(mask=True) + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
            assert await data_of(bystander) == 7
            assert (await peer.closed())[0] == 1000

    run(main())


def test_a_peer_that_never_answers_our_close_is_dropped(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.connected()
            peer.command(send={"data": 1})
            await gateway.until(lambda: gateway.node.statistics().clients == 0)
            assert gateway.node.statistics().transports == 1
            gateway.world.clock.move(5.2)
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert await peer.closed() == (3508, "not available")

    run(main())


def test_ending_is_counted_by_code(run, serving):
    async def main():
        async with serving() as gateway:
            peer, other = await gateway.connected(), await gateway.connected()
            peer.command(send={"data": 1})
            await peer.closed()
            other.frame(Opcode.CLOSE, b"\x03\xe8")
            await other.closed()
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3508: 1, 3000: 1}

    run(main())


QUEUE = 65536
CHUNK = b'"' + b"x" * 30000 + b'"'


async def _stall(gateway):
    """Publish until the client that does not read is told to go, the other one reading everything."""
    reader = await gateway.subscribed("2")
    sent = 0
    largest = 0
    while gateway.node.statistics().clients > 1:
        assert sent < 5000, "the slow client is never told to go"
        sent += 1
        await publish(gateway, CHUNK)
        assert len(await data_of(reader)) == 30000
        largest = max(largest, *(entry._transport.get_write_buffer_size() for entry in gateway.node.transports))
    return reader, largest


def test_a_client_that_does_not_read_is_slow_and_the_others_go_on(run, serving):
    async def main():
        async with serving(channel=OPEN, client={"queue_max_size": QUEUE}) as gateway:
            slow = await gateway.subscribed("1", receive_buffer=4096)
            slow.reader._transport.pause_reading()
            reader, largest = await _stall(gateway)
            assert largest <= QUEUE + 2 * len(CHUNK)
            await publish(gateway, b"1")
            assert await data_of(reader) == 1
            slow.reader._transport.resume_reading()
            assert await slow.closed() == (3008, "slow")

    run(main())


def test_a_slow_client_that_never_reads_is_dropped(run, serving):
    async def main():
        async with serving(channel=OPEN, client={"queue_max_size": QUEUE}) as gateway:
            slow = await gateway.subscribed("1", receive_buffer=4096)
            slow.reader._transport.pause_reading()
            await _stall(gateway)
            gateway.world.clock.move(1.2)
            await gateway.until(lambda: gateway.node.statistics().transports == 1)
            assert gateway.node.disconnects_by_code == {3008: 1}

    run(main())


def test_a_backlog_stops_the_reading_and_a_goodbye_still_comes_through(run, serving):
    gates = []

    async def wait(_user, _data):
        gates.append(asyncio.get_running_loop().create_future())
        await gates[-1]
        return b"1"

    async def main():
        async with serving(rpc_methods={"wait": wait}) as gateway:
            peer = await gateway.connected()
            frames = [b'{"id":%d,"rpc":{"method":"wait"}}' % number for number in range(2, 202)]
            peer.raw(b"".join(Frame(Opcode.TEXT, frame).serialize(mask=True) for frame in frames))
            await gateway.until(lambda: len(gates) == 1)
            for number in range(200):
                await gateway.until(lambda number=number: len(gates) > number)
                gates[number].set_result(None)
            for number in range(2, 202):
                assert (await peer.message())["id"] == number

    run(main())


def test_an_independent_client(run, serving):
    async def main():
        async with serving(channel=OPEN) as gateway:
            options = {"subprotocols": ["centrifuge-json"], "compression": None}
            async with websockets.connect(gateway.uri, **options) as one, websockets.connect(gateway.uri, **options) as two:
                for number, peer in enumerate((one, two)):
                    commands = [
                        {"id": 1, "connect": {"token": gateway.world.token(str(number))}},
                        {"id": 2, "subscribe": {"channel": "a"}},
                    ]
                    await peer.send("\n".join(json.dumps(command) for command in commands))
                    replies = (await peer.recv()).split("\n")
                    assert [json.loads(reply)["id"] for reply in replies] == [1, 2]
                await one.send([b'{"id":3,"publish":{"cha', b'nnel":"a","data":{"n":1}}}'])
                assert json.loads(await two.recv())["push"]["pub"]["data"] == {"n": 1}
                await (await two.ping(b"there?"))
                await two.send(b"nonsense")
                with pytest.raises(websockets.ConnectionClosedError) as caught:
                    while True:
                        await two.recv()
                assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3501, "bad request")
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


def test_an_independent_client_that_offers_compression_goes_without(run, serving):
    async def main():
        async with serving() as gateway, websockets.connect(gateway.uri, compression="deflate") as peer:
            assert "Sec-WebSocket-Extensions" not in peer.response.headers
            await peer.send(json.dumps({"id": 1, "connect": {"token": gateway.world.token()}}))
            assert "connect" in json.loads(await peer.recv())

    run(main())
