"""One subscriber on scripted bytes."""

import asyncio

import pytest
from websockets.frames import Frame, Opcode

from loadtest.client import SwarmClient, make_hello, make_upgrade
from loadtest.frames import ACCEPT, encode_frame
from loadtest.sequences import Findings, SequenceCheck, SourceTotal
from loadtest.stamps import make_payload
from loadtest.tally import Tally
from loadtest.target import Target

UPGRADED = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()
GREETED = '{"id":1,"connect":{"client":"c","version":"1"}}\n{"id":2,"subscribe":{}}'


class Script(asyncio.Transport):
    """The transport's end of a scripted conversation."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_aborted = True


def text(payload: str) -> bytes:
    return Frame(Opcode.TEXT, payload.encode()).serialize(mask=False)


def publication(number: int) -> str:
    return f'{{"push":{{"channel":"c","pub":{{"data":{make_payload(1, 0, number, 100)}}}}}}}'


class Scene:
    """A client, its transport, and whether it has settled."""

    def __init__(self, *, is_sampled: bool = True) -> None:
        self.settled = 0
        self.script = Script()
        self.tally = Tally()
        upgrade, hello = make_upgrade(Target("h", 1)), make_hello("c", "t")
        self.client = SwarmClient(self.tally, upgrade, hello, self.settle, SequenceCheck() if is_sampled else None)
        self.client.connection_made(self.script)

    def settle(self, _client: SwarmClient) -> None:
        self.settled += 1

    def receive(self, *chunks: bytes) -> "Scene":
        for chunk in chunks:
            self.client.data_received(chunk)
        return self


def subscribed(*, is_sampled: bool = True) -> Scene:
    return Scene(is_sampled=is_sampled).receive(UPGRADED, text(GREETED))


def test_it_upgrades_then_connects_and_subscribes_in_one_frame() -> None:
    scene = subscribed()
    assert scene.script.written[0].startswith(b"GET /connection/websocket HTTP/1.1\r\n")
    assert scene.script.written[1] == make_hello("c", "t")
    assert b'{"id":1,"connect":{"token":"t"}}\n{"id":2,"subscribe":{"channel":"c"}}' in scene.script.written[1]
    assert (scene.settled, scene.client.is_subscribed, scene.tally.connected) == (1, True, 1)


def test_the_handshake_may_come_in_any_pieces_and_with_frames_behind_it() -> None:
    stream = UPGRADED + text(GREETED + "\n" + publication(1)) + text(publication(2))
    scene = Scene().receive(*(stream[index : index + 1] for index in range(len(stream))))
    assert (scene.settled, scene.client.received) == (1, 2)
    assert Scene().receive(stream).client.received == 2


def test_joined_publications_are_each_counted() -> None:
    scene = subscribed(is_sampled=False).receive(text("\n".join(publication(number) for number in range(1, 8))))
    assert (scene.client.received, scene.tally.deliveries, scene.tally.latency.total) == (7, 7, 0)


def test_a_sampled_client_reads_latency_and_numbers() -> None:
    scene = subscribed().receive(text(publication(1) + "\n" + publication(3)))
    assert scene.tally.latency.total == 2
    assert scene.client.check is not None
    assert scene.client.check.findings([SourceTotal(0, 3)]) == Findings(lost=1)


@pytest.mark.parametrize("frame", ["{}", "{}\n" + publication(1), publication(1) + "\n{}"])
def test_a_ping_is_answered_wherever_it_stands_in_a_frame(frame: str) -> None:
    assert subscribed().receive(text(frame)).script.written[2:] == [encode_frame(0x1, b"{}")]


def test_publications_alone_are_not_answered() -> None:
    assert subscribed().receive(text(publication(1) + "\n" + publication(2))).script.written[2:] == []


def test_a_websocket_ping_is_answered_with_its_payload() -> None:
    ping = Frame(Opcode.PING, b"p").serialize(mask=False)
    assert subscribed().receive(ping).script.written[2:] == [encode_frame(0xA, b"p")]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "upgrade refused: 403 Forbidden"),
        (UPGRADED.replace(ACCEPT.encode(), b"wrong"), "upgrade answered with a wrong Sec-WebSocket-Accept"),
        (UPGRADED + text('{"id":1,"error":{"code":109,"message":"token expired"}}'), "connect: error 109 token expired"),
        (
            UPGRADED + text('{"id":1,"connect":{}}\n{"id":2,"error":{"code":103,"message":"permission denied"}}'),
            "subscribe: error 103 permission denied",
        ),
        (UPGRADED + text("nonsense"), "a reply that is no JSON"),
    ],
)
def test_it_tells_why_it_could_not_subscribe(stream: bytes, reason: str) -> None:
    scene = Scene().receive(stream)
    assert (scene.settled, scene.client.failure, scene.script.is_aborted) == (1, reason, True)
    scene.client.connection_lost(None)
    assert (scene.settled, scene.client.failure) == (1, reason)


def test_a_close_before_subscribing_is_the_reason() -> None:
    close = Frame(Opcode.CLOSE, (3500).to_bytes(2, "big") + b"invalid token").serialize(mask=False)
    scene = Scene().receive(UPGRADED + close)
    scene.client.connection_lost(None)
    assert (scene.settled, scene.client.failure) == (1, "3500 invalid token")


def test_a_disconnect_later_is_remembered_with_its_code() -> None:
    scene = subscribed().receive(Frame(Opcode.CLOSE, (3008).to_bytes(2, "big") + b"slow").serialize(mask=False))
    scene.client.connection_lost(None)
    assert scene.client.closing == "3008 slow"
    assert (scene.client.is_subscribed, scene.tally.connected, scene.tally.counts) == (False, 0, {"closed": 1})


def test_a_broken_frame_ends_it() -> None:
    scene = subscribed().receive(bytes((0xC1, 0x00)))
    assert scene.script.is_aborted
    assert scene.client.closing.startswith("protocol broken")
