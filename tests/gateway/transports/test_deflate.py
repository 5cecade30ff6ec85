"""Compressed frames, read by an independent parser: the same payloads as uncompressed, from pieces made once."""

import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.protocol.uni_codec import UniJsonCodec
from gateway.transports.deflate import Deflate, DeflateWire, compressed
from gateway.transports.frames import FRAME_LIMIT, WebSocketWire
from gateway.transports.transport import Kind

PLAIN = {
    "json": WebSocketWire(JsonCodec()),
    "protobuf": WebSocketWire(ProtobufCodec()),
    "uni": WebSocketWire(UniJsonCodec(), Kind.UNIDIRECTIONAL),
}
RSV1 = 0x40
PUBLICATION = b'{"push":{"channel":"news","pub":{"data":{"text":"the same words again and again"},"offset":%d}}}'


def read(data, window_bits=15):
    """Read bytes as a client that inflates with this window; gives opcodes and payloads."""
    peer = ClientProtocol(parse_uri("ws://a/"), state=State.OPEN, max_size=None)
    peer.extensions = [PerMessageDeflate(True, True, window_bits, 15)]
    peer.receive_data(data)
    assert peer.parser_exc is None
    frames = peer.events_received()
    assert all(frame.fin for frame in frames)
    return [(frame.opcode, bytes(frame.data)) for frame in frames]


def plain(data):
    peer = ClientProtocol(parse_uri("ws://a/"), state=State.OPEN, max_size=None)
    peer.receive_data(data)
    assert peer.parser_exc is None
    return [(frame.opcode, bytes(frame.data)) for frame in peer.events_received()]


# Lines that repeat and lines that do not; long enough now and then that a frame is cut.
texts = st.sampled_from([b"x", b"{}", PUBLICATION % 1, PUBLICATION % 2, b"\x00\x00\xff\xff", b"y" * 30_000]) | st.binary(
    min_size=1, max_size=200
).map(lambda data: data.replace(b"\n", b" "))
batches = st.lists(texts, min_size=1, max_size=8)
# What a client gets in a turn: answers of its own, and batches that others get as well.
turns = st.lists(st.tuples(st.booleans(), batches), min_size=1, max_size=5)


@given(st.sampled_from(sorted(PLAIN)), turns, st.sampled_from([0, 1, 64, 1000]), st.integers(9, 15), st.sampled_from([1, 6, 9]))
@example("json", [(True, [b"x"]), (True, [b"y"])], 0, 9, 1)
@example("json", [(False, [b"x"]), (True, [PUBLICATION % 1]), (False, [b"z"]), (True, [PUBLICATION % 2])], 0, 15, 1)
@example("protobuf", [(True, [b"\x00\x00\xff\xff"]), (False, [b"\x00\x00\xff\xff"])], 0, 15, 1)
@settings(deadline=None, max_examples=150)
def test_what_is_inflated_is_what_was_to_be_sent(name, turn, min_size, window_bits, level):
    wire = DeflateWire(PLAIN[name], Deflate(level, min_size, window_bits))
    units, messages = [], []
    for is_shared, batch in turn:
        units += wire.share(batch) if is_shared else batch
        messages += batch
    separator = wire.codec.join((b"", b""))
    sent, expected = read(wire.frame(units), window_bits), plain(PLAIN[name].frame(messages))
    assert {opcode for opcode, _ in sent} == {opcode for opcode, _ in expected}
    if name == "uni":
        assert sent == expected  # a message each
    else:
        # The frames may be cut elsewhere, since a batch stays whole; what is said is the same.
        assert separator.join(payload for _, payload in sent) == separator.join(payload for _, payload in expected)
        assert all(len(payload) < FRAME_LIMIT or payload in messages for _, payload in sent)


def test_what_came_out_of_one_turn_is_one_frame():
    wire = DeflateWire(PLAIN["json"], Deflate(1, 0, 15))
    one, two = ([PUBLICATION % number for number in range(first, first + 4)] for first in (0, 4))
    frame = wire.frame([b'{"id":7,"publish":{}}', *wire.share(one), *wire.share(two), b'{"id":8,"publish":{}}'])
    assert frame[0] == 0x81 | RSV1
    ((_, payload),) = read(frame)
    assert payload.split(b"\n") == [b'{"id":7,"publish":{}}', *one, *two, b'{"id":8,"publish":{}}']


def test_what_is_shared_is_compressed_once(monkeypatch):
    made = []
    compressobj = zlib.compressobj
    monkeypatch.setattr(zlib, "compressobj", lambda *args: made.append(args) or compressobj(*args))
    wire = DeflateWire(PLAIN["json"], Deflate(1, 0, 15))
    news, sport = wire.share([PUBLICATION % 1] * 16), wire.share([PUBLICATION % 2] * 16)
    for number in range(100):
        wire.frame([b'{"id":%d,"publish":{}}' % number, *news, *sport])
        wire.frame([*sport, b'{"id":%d,"publish":{}}' % number])
        wire.frame(news)
    assert len(made) == 2


@pytest.mark.parametrize(("size", "is_compressed"), [(299, False), (300, True)])
@pytest.mark.parametrize("is_shared", [False, True])
def test_below_the_smallest_size_a_message_goes_as_it_is(size, is_compressed, is_shared):
    wire = DeflateWire(PLAIN["json"], Deflate(1, 300, 15))
    messages = [b"x" * 100, b"x" * (size - 101)]  # and a newline between them
    frame = wire.frame(wire.share(messages) if is_shared else messages)
    assert bool(frame[0] & RSV1) == is_compressed
    if not is_compressed:
        assert frame == PLAIN["json"].frame(messages)


def test_what_would_not_get_smaller_goes_as_it_is():
    wire = DeflateWire(PLAIN["protobuf"], Deflate(9, 0, 15))
    message = bytes(range(256))
    assert wire.frame([message]) == PLAIN["protobuf"].frame([message])
    assert wire.frame([message] * 2)[0] & RSV1


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_the_twin_differs_in_its_bytes_alone(name):
    wire = DeflateWire(PLAIN[name], Deflate(1, 0, 15))
    for trait in ("codec", "kind", "transport_name", "ping_frame", "announces_ping", "expects_pong"):
        assert getattr(wire, trait) == getattr(PLAIN[name], trait)


def test_those_who_are_compressed_alike_share_a_wire():
    json = PLAIN["json"]
    assert compressed(json, Deflate(1, 0, 15)) is compressed(json, Deflate(1, 0, 15))
    assert compressed(json, Deflate(1, 0, 15)) is not compressed(json, Deflate(1, 0, 12))
    assert compressed(json, Deflate(1, 0, 15)) is not compressed(PLAIN["protobuf"], Deflate(1, 0, 15))


def test_frames_are_of_the_right_kind():
    for name, opcode in (("json", Opcode.TEXT), ("protobuf", Opcode.BINARY)):
        frame = DeflateWire(PLAIN[name], Deflate(1, 0, 15)).frame([b"x" * 500])
        assert read(frame) == [(opcode, b"x" * 500)]
        assert len(frame) < 30
