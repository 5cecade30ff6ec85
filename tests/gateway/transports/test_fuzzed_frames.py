"""Whatever bytes a peer sends, in whatever encoding, over whatever transport: they end in replies, a refusal or a disconnect.

Nothing is raised past the session, nobody else notices, and nothing is left behind.
"""

import asyncio
import json
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import quote

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from websockets.frames import Frame, Opcode

from gateway.protocol.disconnects import Disconnect
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.protocol.uni_codec import UniJsonCodec
from gateway.transports.frames import WebSocketWire
from gateway.transports.http import (
    SSE_WIRE,
    STREAM_JSON_WIRE,
    STREAM_PROTOBUF_WIRE,
    UNI_SSE_WIRE,
    UNI_STREAM_WIRE,
    EmulationEndpoint,
    http_stream_endpoint,
    sse_endpoint,
    uni_endpoint,
)
from gateway.transports.transport import Kind
from gateway.transports.websocket import WebSocketConnection

WIRES = {
    "websocket": WebSocketWire(JsonCodec()),
    "protobuf_websocket": WebSocketWire(ProtobufCodec()),
    "uni_websocket": WebSocketWire(UniJsonCodec(), Kind.UNIDIRECTIONAL),
    "sse": SSE_WIRE,
    "http_stream": STREAM_JSON_WIRE,
    "protobuf_http_stream": STREAM_PROTOBUF_WIRE,
    "uni_sse": UNI_SSE_WIRE,
    "uni_http_stream": UNI_STREAM_WIRE,
}
SETTINGS = {
    "client": {"insecure": True, "allowed_origins": ["*"]},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_tags_filter": True,
            "allowed_delta_types": ["fossil"],
            "history_size": 5,
            "history_ttl": "60s",
            "force_recovery": True,
            "presence": True,
            "join_leave": True,
        }
    },
    "rpc": {"ping": {"enabled": True}},
    **{name: {"enabled": True} for name in ("sse", "http_stream", "uni_sse", "uni_http_stream", "uni_websocket")},
}
KINDS = ("connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "send", "refresh")
FIELDS = (
    "channel",
    "token",
    "data",
    "recover",
    "offset",
    "epoch",
    "flag",
    "delta",
    "tf",
    "limit",
    "since",
    "reverse",
    "method",
    "subs",
)


def values_of(*texts):
    scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(texts)
    names = st.sampled_from(FIELDS)
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
    )


def commands_of(values):
    fields = st.dictionaries(st.sampled_from(FIELDS), values, max_size=4) | values
    command = st.fixed_dictionaries({"id": st.integers(1, 5) | values}, optional=dict.fromkeys(KINDS, fields))
    return st.lists(command, min_size=1, max_size=3)


VALUES = values_of("a", "", "\ud800", "a" * 300, "é")
COMMANDS = commands_of(VALUES)
PROTOBUF_COMMANDS = commands_of(values_of("a", "", "a" * 300, "é"))
# Deeper than what reads it may go.
DEEP = [b"[" * 1500, b'{"id":1,"connect":{"x":' * 1500, b'{"id":1,"rpc":{"data":' + b"[" * 1500]


@st.composite
def json_frames(draw):
    text = b"\n".join(json.dumps(command).encode() for command in draw(COMMANDS))
    return draw(mutants(text))


@st.composite
def protobuf_frames(draw):
    frame = b""
    for command in draw(PROTOBUF_COMMANDS):
        message = client_pb2.Command()
        try:
            ParseDict(json.loads(json.dumps(command)), message, ignore_unknown_fields=True)
        except (ParseError, ValueError):
            pass  # what was read until there will do
        body = message.SerializeToString()[:10_000]
        size = len(body)
        frame += bytes([size & 127 | 128, size >> 7] if size > 127 else [size]) + body
    return draw(mutants(frame))


@st.composite
def mutants(draw, frame):
    """Leave a frame as it is, or break it somewhere."""
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(frame)))
        frame = frame[:at] + draw(st.binary(max_size=3)) + frame[at + draw(st.integers(0, 3)) :]
    return frame


def frames_of(wire_name):
    made = protobuf_frames() if "protobuf" in wire_name else json_frames()
    return made | st.binary(max_size=200) | st.sampled_from(DEEP)


class Peer:
    """Plays the port `Transport`, and does with what is written nothing at all."""

    def __init__(self, wire):
        self.wire, self.headers, self.closed = wire, {}, None

    def write(self, frame):
        assert self.closed is None
        assert frame

    def close(self, disconnect):
        self.closed = disconnect

    def abort(self):
        """Nothing to end."""

    pause_reading = resume_reading = abort


@contextmanager
def unharmed(world):
    """Whatever is done meanwhile: somebody else goes on as before, nothing is left, and nothing was a bug of ours."""
    bystander = world.connected("bystander")
    bystander.send({"id": 2, "subscribe": {"channel": "bystander's"}})
    before = world.node.statistics()
    with capture_logs() as logs:
        yield
    after = world.node.statistics()
    assert (after.clients, after.transports, after.subscriptions) == (before.clients, before.transports, before.subscriptions)
    assert world.node.emulated == {}
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    bystander.read()
    (reply,) = bystander.send({"id": 3, "presence_stats": {"channel": "bystander's"}})
    assert reply["presence_stats"] == {"num_clients": 1, "num_users": 1}


EXAMPLES = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=40)


@pytest.mark.parametrize("wire_name", WIRES)
@pytest.mark.parametrize("is_connected", [False, True])
@given(data=st.data())
@EXAMPLES
def test_frames_of_a_session(world, wire_name, is_connected, data):
    frames = data.draw(st.lists(frames_of(wire_name), max_size=3))

    async def main():
        made = world(**SETTINGS)
        with unharmed(made):
            peer = Peer(WIRES[wire_name])
            session = made.node.open_session(peer)
            if is_connected:
                session.receive(hello(wire_name))
                assert session.client.is_connected
            for frame in frames:
                session.receive(frame)
                made.node.turn.flush()
            await asyncio.sleep(0)
            assert peer.closed is None or isinstance(peer.closed, Disconnect)
            made.node.close_session(session, 3000)
            await asyncio.sleep(0)

    asyncio.run(main())


def hello(wire_name):
    if wire_name.startswith("uni"):
        return b"{}"
    if "protobuf" in wire_name:
        return bytes([4]) + client_pb2.Command(id=1, connect={}).SerializeToString()
    return b'{"id":1,"connect":{}}'


async def asked(endpoint, method="POST", body=b"", query=b"", content_type=b"application/json"):
    """Ask an endpoint as its HTTP server does, with a peer that goes when it has asked; gives status and body."""
    said = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
    answered = []

    async def receive():
        return said.pop(0)

    async def send(message):
        answered.append(message)

    headers = [(b"content-type", content_type), (b"origin", b"http://a")]
    scope = {"type": "http", "method": method, "query_string": query, "headers": headers, "path": "/", "http_version": "1.1"}
    await endpoint(scope, receive, send)
    assert answered[0]["type"] == "http.response.start"
    assert not answered[-1].get("more_body")
    return answered[0]["status"], b"".join(message.get("body", b"") for message in answered[1:])


ENDPOINTS = {
    "http_stream": http_stream_endpoint,
    "protobuf_http_stream": http_stream_endpoint,
    "sse": sse_endpoint,
    "uni_sse": lambda node: uni_endpoint(node, is_events=True),
    "uni_http_stream": lambda node: uni_endpoint(node, is_events=False),
}


@pytest.mark.parametrize("name", ENDPOINTS)
@given(data=st.data())
@EXAMPLES
def test_bodies_that_open_a_stream(world, name, data):
    body = data.draw(frames_of(name))
    content_type = b"application/octet-stream" if "protobuf" in name else b"application/json"

    async def main():
        made = world(**SETTINGS)
        with unharmed(made):
            status, _ = await asked(ENDPOINTS[name](made.node), body=body, content_type=content_type)
            assert status in (200, 400) if name.startswith("uni") else status == 200

    asyncio.run(main())


@pytest.mark.parametrize("name", ["sse", "uni_sse"])
@given(
    query=st.binary(max_size=60).map(lambda raw: b"cf_connect=" + raw)
    | json_frames().map(lambda raw: b"cf_connect=" + quote(raw).encode())
)
@EXAMPLES
@example(query=b"cf_connect=\xff")
@example(query=b"cf_connect=%ff%00")
@example(query=b"cf_connect=" + b"[" * 40_000)
def test_queries_that_open_a_stream(world, name, query):
    async def main():
        made = world(**SETTINGS)
        with unharmed(made):
            status, _ = await asked(ENDPOINTS[name](made.node), method="GET", query=query)
            assert status in (200, 400)

    asyncio.run(main())


@st.composite
def emulation_bodies(draw):
    """What is posted to `/emulation`: a request to the one client there is, to another, or to nobody, or no request at all."""
    is_protobuf = draw(st.booleans())
    to_protobuf = draw(st.booleans())
    frame = draw(frames_of("protobuf" if to_protobuf else "json"))

    def make(node, session):
        data = frame if to_protobuf else json.dumps(frame.decode("latin-1")).encode()
        if is_protobuf:
            return client_pb2.EmulationRequest(node=node, session=session, data=data).SerializeToString()
        text = frame.decode("latin-1")
        return json.dumps({"node": node, "session": session, "data": text}).encode()

    node, session = draw(st.sampled_from([("own", "own"), ("own", "own"), ("own", "gone"), ("other", "own")]))
    raw = draw(
        st.none() | st.binary(max_size=200) | st.sampled_from(DEEP) | VALUES.map(lambda value: json.dumps(value).encode())
    )
    change = draw(st.sampled_from([None, None, "mutate"]))
    noise = draw(st.tuples(st.integers(0, 300), st.binary(max_size=3)))
    return is_protobuf, to_protobuf, make, node, session, raw, noise if change else None


@given(drawn=emulation_bodies())
@EXAMPLES
def test_bodies_of_emulation(world, drawn):
    is_protobuf, to_protobuf, make, node, session, raw, noise = drawn

    async def main():
        made = world(**SETTINGS)
        with unharmed(made):
            peer = Peer(STREAM_PROTOBUF_WIRE if to_protobuf else STREAM_JSON_WIRE)
            opened = made.node.open_session(peer)
            opened.receive(hello("protobuf" if to_protobuf else "json"))
            body = raw
            if body is None:
                body = make(
                    made.node.uid if node == "own" else "other", opened.client.session_id if session == "own" else "gone"
                )
            if noise:
                body = body[: noise[0]] + noise[1] + body[noise[0] :]
            content_type = b"application/octet-stream" if is_protobuf else b"application/json"
            status, answer = await asked(EmulationEndpoint(made.node), body=body, content_type=content_type)
            assert status in (204, 400, 404, 413)
            assert answer == b""
            made.node.turn.flush()
            made.node.close_session(opened, 3000)
            await asyncio.sleep(0)

    asyncio.run(main())


@pytest.mark.parametrize("body", DEEP, ids=["list", "connect", "rpc"])
@pytest.mark.parametrize("content_type", [b"application/json", b"application/octet-stream"])
async def test_bodies_of_emulation_that_are_too_deep(world, body, content_type):
    made = world(**SETTINGS)
    with unharmed(made):
        assert await asked(EmulationEndpoint(made.node), body=body, content_type=content_type) == (400, b"")


class Socket(asyncio.Transport):
    """A socket that takes everything."""

    is_ended = False

    def write(self, data):
        assert not self.is_ended

    def write_eof(self):
        """The other side hears no more."""

    def can_write_eof(self):
        return True

    def is_closing(self):
        return self.is_ended

    def close(self):
        self.is_ended = True

    abort = close

    def set_write_buffer_limits(self, high=None, low=None):
        """It never waits."""

    def get_write_buffer_size(self):
        return 0

    def get_extra_info(self, name, default=None):
        return default

    def pause_reading(self):
        """Whatever is there has been read."""

    resume_reading = pause_reading


HANDSHAKE = (
    b"GET /connection/%b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
OPCODES = [Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG, Opcode.CLOSE]
PATHS = {"json": b"websocket", "protobuf": b"websocket?format=protobuf", "uni": b"uni_websocket"}


@st.composite
def websockets(draw):
    """Give an opening request, and what comes after it in pieces: frames of commands and others, some of them broken."""
    kind = draw(st.sampled_from(sorted(PATHS)))
    path = PATHS[kind]
    if kind == "uni" and draw(st.booleans()):
        path += b"?cf_connect=" + draw(st.binary(max_size=20))
    data = b""
    for _ in range(draw(st.integers(0, 3))):
        opcode = draw(st.sampled_from(OPCODES))
        payload = draw(frames_of(kind) | st.just(hello(kind)))
        is_control = opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE)
        frame = Frame(
            opcode, payload[:120] if is_control else payload, is_control or draw(st.sampled_from([True, True, False]))
        )
        data += frame.serialize(mask=True)
    data = draw(mutants(data))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return HANDSHAKE % path, [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)])]


@given(drawn=websockets())
@EXAMPLES
def test_bytes_of_a_websocket(world, drawn):
    handshake, pieces = drawn

    async def main():
        made = world(**SETTINGS)
        with unharmed(made):
            connection, transport = WebSocketConnection(made.node), Socket()
            connection.connection_made(transport)
            for piece in (handshake, *pieces):
                if not transport.is_ended:
                    connection.data_received(piece)
                await asyncio.sleep(0)
            connection.connection_lost(None)
            await asyncio.sleep(0)

    asyncio.run(main())
