"""Our frames, read by an independent parser: the same payloads, in frames that stay small."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.protocol.json_codec import JsonCodec
from gateway.transports.frames import BINARY, FRAME_LIMIT, TEXT, WebSocketWire, data_frame

WIRE = WebSocketWire(JsonCodec())


def parsed(data):
    """Read bytes as `websockets`' client does; gives opcodes and payloads."""
    peer = ClientProtocol(parse_uri("ws://a/"), state=State.OPEN, max_size=None)
    peer.receive_data(data)
    assert peer.parser_exc is None
    frames = peer.events_received()
    assert all(frame.fin for frame in frames)
    return [(frame.opcode, bytes(frame.data)) for frame in frames]


sizes = st.sampled_from([0, 1, 125, 126, 127, 65534, 65535, 65536, 65537, 200_000]) | st.integers(0, 70_000)


@given(sizes, st.sampled_from([(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)]))
@settings(deadline=None)
def test_one_message_is_one_frame(size, kind):
    first_byte, opcode = kind
    payload = b"x" * size
    assert parsed(data_frame(first_byte, payload)) == [(opcode, payload)]


@given(st.lists(sizes, min_size=1, max_size=12))
@example([FRAME_LIMIT // 2, FRAME_LIMIT // 2])
@example([FRAME_LIMIT // 2 - 1, FRAME_LIMIT // 2])
@example([1, FRAME_LIMIT - 3, 1])
@example([200_000, 1, 200_000])
@settings(deadline=None)
def test_messages_keep_their_order_in_frames_below_the_limit(lengths):
    messages = [b"%d" % (number % 10) * max(1, length) for number, length in enumerate(lengths)]
    frames = parsed(WIRE.frame(messages))
    assert {opcode for opcode, _ in frames} == {Opcode.TEXT}
    assert [message for _, payload in frames for message in payload.split(b"\n")] == messages
    for _, payload in frames:
        # A frame is larger only where one message alone is.
        assert len(payload) < FRAME_LIMIT or b"\n" not in payload
    for (_, before), (_, after) in pairwise(frames):
        # It was cut because the next message would not have fitted.
        assert len(before) + 1 + len(after.split(b"\n")[0]) >= FRAME_LIMIT - 1


def test_the_ping_is_an_empty_object():
    assert parsed(WIRE.ping_frame) == [(Opcode.TEXT, b"{}")]


@pytest.mark.parametrize(("size", "header"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_headers_are_as_short_as_they_may_be(size, header):
    # RFC 6455 §5.2: the minimal number of bytes must be used.
    assert len(data_frame(TEXT, b"x" * size)) == header + size
