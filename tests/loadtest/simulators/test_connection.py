"""The connection without I/O: against an independent client (h2), and against peers that break the rules."""

from collections import defaultdict

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadtest.simulators.connection import MAX_BODY_BYTES, Connection, Fields
from loadtest.simulators.frames import Broken, ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIELDS = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
GREETING = PREFACE + SettingsFrame(0).serialize()


class Server:
    """A connection that answers each request with its own path and body, `piece_bytes` in a frame."""

    def __init__(self, *, streams: int = 100, piece_bytes: int = 0) -> None:
        self.requests: list[tuple[int, Fields, bytes]] = []
        self.piece_bytes = piece_bytes
        self.connection = Connection(self.take, streams=streams)

    def take(self, stream_id: int, fields: Fields, body: bytes) -> None:
        self.requests.append((stream_id, fields, body))
        path = dict(fields)[b":path"]
        self.connection.send_headers(stream_id, [(b":status", b"200"), (b"x-path", path)], is_end=not body)
        if body:
            self.connection.send_body(stream_id, body, piece_bytes=self.piece_bytes)


def frame(made: Frame, *flags: str) -> bytes:
    for flag in flags:
        made.flags.add(flag)
    return made.serialize()


def request(stream_id: int, *flags: str, body: bytes = b"") -> bytes:
    """A whole request on one stream, or with `flags` given its header block alone."""
    block = Encoder().encode(FIELDS)
    if flags:
        return frame(HeadersFrame(stream_id, block), *flags)
    return frame(HeadersFrame(stream_id, block), "END_HEADERS") + frame(DataFrame(stream_id, body), "END_STREAM")


def answers(output: bytes) -> list[Frame]:
    """Read the frames that a server wrote."""
    found = []
    while output:
        head, length = Frame.parse_frame_header(memoryview(output[:9]))
        head.parse_body(memoryview(output[9 : 9 + length]))
        found.append(head)
        output = output[9 + length :]
    return found


@settings(max_examples=40, deadline=None)
@given(
    bodies=st.lists(st.integers(0, 600), min_size=1, max_size=8),
    cut_bytes=st.integers(1, 5000),
    window=st.integers(50, 70_000),
    piece_bytes=st.just(0) | st.integers(20, 20_000),
    repeats=st.integers(0, 6),
)
@example(bodies=[3], cut_bytes=1, window=1, piece_bytes=1, repeats=0)
@example(bodies=[30_000] * 3, cut_bytes=1 << 20, window=1000, piece_bytes=0, repeats=30)
def test_a_client_gets_every_answer_whole(
    bodies: list[int], cut_bytes: int, window: int, piece_bytes: int, repeats: int
) -> None:
    """Whatever the pieces in which things come, the windows of the client, and the length of its header block."""
    server = Server(piece_bytes=piece_bytes)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.receive_data(server.connection.output())
    sent, status, received = {}, {}, defaultdict[int, bytes](bytes)
    for number, size in enumerate(bodies):
        stream_id = client.get_next_available_stream_id()
        sent[stream_id] = bytes([65 + number]) * size
        fields = [*FIELDS[:3], (b":path", b"/%d" % stream_id), *((b"x-%d" % i, b"v" * 400) for i in range(repeats))]
        client.send_headers(stream_id, fields, end_stream=not size)
        if size:
            client.send_data(stream_id, sent[stream_id][: client.max_outbound_frame_size], end_stream=size <= 16_384)
            if size > 16_384:
                client.send_data(stream_id, sent[stream_id][client.max_outbound_frame_size :], end_stream=True)
    while outgoing := client.data_to_send():
        for at in range(0, len(outgoing), cut_bytes):
            server.connection.receive(outgoing[at : at + cut_bytes])
        for event in client.receive_data(server.connection.output()):
            if isinstance(event, h2.events.ResponseReceived):
                headers = dict(event.headers)
                status[event.stream_id] = headers[b":status"], headers[b"x-path"]
            elif isinstance(event, h2.events.DataReceived):
                received[event.stream_id] += event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    assert status == {stream_id: (b"200", b"/%d" % stream_id) for stream_id in sent}
    assert {stream_id: received[stream_id] for stream_id in sent} == sent
    assert not any(server.connection.is_open(stream_id) for stream_id in sent)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (PREFACE + frame(PingFrame(0, b"12345678")), ErrorCode.PROTOCOL_ERROR),
        (GREETING + frame(DataFrame(1, b"x")), ErrorCode.PROTOCOL_ERROR),
        (GREETING + frame(RstStreamFrame(1)), ErrorCode.PROTOCOL_ERROR),
        (GREETING + frame(WindowUpdateFrame(1, window_increment=1)), ErrorCode.PROTOCOL_ERROR),
        (GREETING + b"\0\0\1\0\0\0\0\0\0x", ErrorCode.PROTOCOL_ERROR),  # DATA on stream 0
        (GREETING + request(2), ErrorCode.PROTOCOL_ERROR),
        (GREETING + request(3) + request(2), ErrorCode.PROTOCOL_ERROR),
        (GREETING + request(1, "END_HEADERS") + request(1, "END_HEADERS"), ErrorCode.PROTOCOL_ERROR),
        (GREETING + frame(PushPromiseFrame(1, 2, b""), "END_HEADERS"), ErrorCode.PROTOCOL_ERROR),
        (GREETING + request(1, "END_STREAM") + frame(PingFrame(0, b"12345678")), ErrorCode.PROTOCOL_ERROR),
        (GREETING + request(1, "END_STREAM") + frame(ContinuationFrame(3, b"")), ErrorCode.PROTOCOL_ERROR),
        (GREETING + frame(ContinuationFrame(1, b"")), ErrorCode.PROTOCOL_ERROR),
        (GREETING + request(1, "END_HEADERS") + b"\0\0\2\0\x08\0\0\0\1\x05x", ErrorCode.PROTOCOL_ERROR),
        (GREETING + b"\0\0\4\x08\0\0\0\0\0\0\0\0\0", ErrorCode.PROTOCOL_ERROR),  # WINDOW_UPDATE by 0
        (GREETING + frame(WindowUpdateFrame(0, window_increment=2**31 - 1)), ErrorCode.FLOW_CONTROL_ERROR),
        (
            GREETING + request(1, "END_HEADERS") + frame(WindowUpdateFrame(1, window_increment=2**31 - 1)),
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        (GREETING + b"\0\0\6\x04\0\0\0\0\0\0\4\x80\0\0\0", ErrorCode.FLOW_CONTROL_ERROR),  # INITIAL_WINDOW_SIZE
        (GREETING + frame(SettingsFrame(0, {5: 100})), ErrorCode.PROTOCOL_ERROR),
        (GREETING + b"\0\0\5\x04\0\0\0\0\0\0\0\0\0\0", ErrorCode.FRAME_SIZE_ERROR),
        (GREETING + b"\0\0\7\x06\0\0\0\0\0" + b"x" * 7, ErrorCode.FRAME_SIZE_ERROR),
        (GREETING + b"\xff\xff\xff\0\0\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
        (GREETING + frame(HeadersFrame(1, b"\xff"), "END_HEADERS"), ErrorCode.COMPRESSION_ERROR),
        (
            GREETING + frame(HeadersFrame(1, Encoder().encode([(b"x", b"v" * 200)] * 100)), "END_HEADERS"),
            ErrorCode.ENHANCE_YOUR_CALM,
        ),
        (
            GREETING + request(1, "END_STREAM") + frame(ContinuationFrame(1, b"x" * 16_000)) * 5,
            ErrorCode.ENHANCE_YOUR_CALM,
        ),
    ],
)
def test_a_peer_that_breaks_the_rules_is_told_which(sent: bytes, code: ErrorCode) -> None:
    connection = Server().connection
    with pytest.raises(Broken):
        connection.receive(sent)
    goaway = answers(connection.output())[-1]
    assert isinstance(goaway, GoAwayFrame)
    assert goaway.error_code == code


def test_what_comes_for_a_stream_that_is_over_is_read_past() -> None:
    server = Server()
    server.connection.receive(GREETING + request(1, body=b"x"))
    server.connection.receive(frame(RstStreamFrame(1)) + frame(DataFrame(1, b"late")) + request(1) + request(3))
    assert [stream_id for stream_id, _, _ in server.requests] == [1, 3]


def test_padding_priorities_unknown_frames_and_cut_blocks_change_nothing() -> None:
    server, block = Server(), Encoder().encode(FIELDS)
    headers = HeadersFrame(1, block[:10], pad_length=5, depends_on=0, stream_weight=7)
    data = DataFrame(1, b"body", pad_length=9)
    server.connection.receive(
        GREETING
        + frame(PriorityFrame(1, stream_weight=3))
        + b"\0\0\3\x2a\0\0\0\0\0abc"
        + frame(headers, "PADDED", "PRIORITY")
        + frame(ContinuationFrame(1, block[10:]), "END_HEADERS")
        + frame(data, "END_STREAM", "PADDED")
    )
    assert server.requests == [(1, FIELDS, b"body")]


def test_a_ping_comes_back_and_settings_are_acknowledged() -> None:
    connection = Server().connection
    connection.output()
    connection.receive(GREETING + frame(PingFrame(0, b"12345678")) + frame(PingFrame(0, b"87654321"), "ACK"))
    settings, ping = answers(connection.output())
    assert isinstance(settings, SettingsFrame)
    assert "ACK" in settings.flags
    assert isinstance(ping, PingFrame)
    assert ("ACK" in ping.flags, ping.opaque_data) == (True, b"12345678")


def test_one_stream_too_many_is_refused_and_the_rest_goes_on() -> None:
    server = Server(streams=1)
    server.connection.receive(GREETING + request(1, "END_HEADERS"))
    server.connection.output()
    server.connection.receive(request(3) + frame(DataFrame(1, b""), "END_STREAM"))
    refused, answer = answers(server.connection.output())
    assert isinstance(refused, RstStreamFrame)
    assert (refused.stream_id, refused.error_code) == (3, ErrorCode.REFUSED_STREAM)
    assert (answer.stream_id, [stream_id for stream_id, _, _ in server.requests]) == (1, [1])


def test_a_body_beyond_the_limit_is_cut_answered_and_reset() -> None:
    server = Server()
    server.connection.receive(GREETING + request(1, "END_HEADERS") + frame(DataFrame(1, b"x" * 16_000)) * 4)
    assert [len(body) for _, _, body in server.requests] == [48_000]
    reset = answers(server.connection.output())[-1]
    assert isinstance(reset, RstStreamFrame)
    assert reset.error_code == ErrorCode.NO_ERROR
    assert MAX_BODY_BYTES < 48_000


def test_after_goaway_what_lies_below_goes_on() -> None:
    server = Server()
    server.connection.receive(GREETING + request(1, "END_HEADERS") + request(3, "END_HEADERS"))
    server.connection.go_away(1, 0, b"")
    assert (server.connection.is_open(1), server.connection.is_open(3), server.connection.is_drained) == (True, False, False)
    server.connection.receive(frame(DataFrame(3, b""), "END_STREAM") + request(5) + frame(DataFrame(1, b""), "END_STREAM"))
    assert ([stream_id for stream_id, _, _ in server.requests], server.connection.is_drained) == ([1], True)
    server.connection.receive(frame(GoAwayFrame(0)))
    assert server.connection.is_left


def test_a_long_block_of_an_answer_goes_on_in_another_frame() -> None:
    connection = Connection(lambda stream_id, _fields, _body: None, streams=1)
    connection.receive(GREETING + request(1))
    connection.output()
    connection.send_headers(1, [(b":status", b"200"), (b"x", b"v" * 40_000)], is_end=True)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    first, second, third = answers(connection.output())
    assert isinstance(first, HeadersFrame)
    assert isinstance(third, ContinuationFrame)
    assert "END_STREAM" in first.flags
    assert "END_HEADERS" in third.flags
    block = first.data + second.data + third.data  # type: ignore[attr-defined]  # of CONTINUATION
    assert [*client.decoder.decode(block, raw=True)][-1] == (b"x", b"v" * 40_000)
