"""Negotiation of permessage-deflate, and how far a small message may grow."""

import tracemalloc
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from config.settings import WebSocketSettings
from gateway.transports.conversation import Conversation
from gateway.transports.inflate import INFLATION, BoundedInflate

LIMIT = 1024
OPENING = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)


def opened(offer="permessage-deflate", *, compression=True, limit=LIMIT):
    """Shake hands; gives the server's side and its answer to the offer."""
    server = Conversation(WebSocketSettings(compression=compression, message_size_limit=limit))
    offered = b"Sec-WebSocket-Extensions: %b\r\n" % offer.encode() if offer else b""
    server.receive_data(OPENING + offered + b"\r\n")
    (request,) = server.events_received()
    response = server.accept(request)
    server.send_response(response)
    server.data_to_send()
    assert response.status_code == 101
    return server, response.headers.get("Sec-WebSocket-Extensions")


def deflated(data, level=9):
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def send(server, *frames):
    """Bring frames to the server; gives the messages' payloads and the close code (None while it is open)."""
    for frame in frames:
        frame.check = lambda: None  # bits and lengths are meant as they are
        server.receive_data(frame.serialize(mask=True))
    payloads = [bytes(frame.data) for frame in server.events_received()]
    return payloads, int(server.close_sent.code) if server.close_sent else None


def text(data, *, rsv1=True, fin=True, opcode=Opcode.TEXT):
    return Frame(opcode, data, fin, rsv1)


NEITHER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer", "window_bits"),
    [
        ("permessage-deflate", NEITHER, 15),
        ("permessage-deflate; client_max_window_bits", NEITHER, 15),
        ("permessage-deflate; client_max_window_bits=10", NEITHER + "; client_max_window_bits=10", 15),
        ("permessage-deflate; server_max_window_bits=10", NEITHER + "; server_max_window_bits=10", 10),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", NEITHER, 15),
        # A window that zlib cannot be held to is refused, and the next of the client's offers taken.
        ("permessage-deflate; server_max_window_bits=8", None, None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", NEITHER, 15),
        ("permessage-deflate; unheard_of", None, None),
        ("permessage-bzip2", None, None),
        ("", None, None),
    ],
)
def test_what_is_agreed_on(offer, answer, window_bits):
    server, answered = opened(offer)
    assert (answered, server.window_bits) == (answer, window_bits)


def test_nothing_is_agreed_on_unless_it_is_switched_on():
    server, answered = opened(compression=False)
    assert (answered, server.window_bits) == (None, None)
    assert send(server, text(deflated(b"x" * 50)))[1] == 1002


def test_messages_of_both_kinds_are_read():
    server, _ = opened()
    whole = [text(deflated(b"one")), text(b"two", rsv1=False), text(deflated(b"three"), opcode=Opcode.BINARY)]
    assert send(server, *whole) == ([b"one", b"two", b"three"], None)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 200), max_size=5), st.integers(0, 9))
@settings(deadline=None)
def test_fragments_of_a_compressed_message(data, cuts, level):
    server, _ = opened(limit=8192)
    body, frames = deflated(data, level), []
    for size in [*cuts, len(body)]:
        opcode = Opcode.CONT if frames else Opcode.BINARY
        frames.append(text(body[:size], opcode=opcode, rsv1=not frames, fin=len(frames) == len(cuts)))
        body = body[size:]
    payloads, code = send(server, *frames)
    assert (b"".join(payloads), code) == (data, None)


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("in_fragments", [False, True])
def test_a_message_may_grow_to_ten_times_the_limit(excess, in_fragments):
    server, _ = opened()
    data = b"x" * (LIMIT * INFLATION + excess)
    if in_fragments:
        compressor = zlib.compressobj(wbits=-15)
        first = compressor.compress(data[: LIMIT * INFLATION]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        last = (compressor.compress(data[LIMIT * INFLATION :]) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        frames = [text(first, fin=False), text(last or b"\x00", opcode=Opcode.CONT, rsv1=False)]
    else:
        frames = [text(deflated(data))]
    payloads, code = send(server, *frames)
    assert (code, b"".join(payloads) == data) == ((1009, False) if excess else (None, True))


@pytest.mark.parametrize("rsv1", [False, True])
@pytest.mark.parametrize("in_fragments", [False, True])
@pytest.mark.parametrize("excess", [0, 1])
def test_on_the_wire_a_message_keeps_to_the_limit_itself(rsv1, in_fragments, excess):
    # Stored, not compressed: five bytes for the block, one for the end of the message.
    body = deflated(b"x" * (LIMIT - 6), 0) if rsv1 else b"x" * LIMIT
    assert len(body) == LIMIT
    body += (b"\x00" if rsv1 else b"x") * excess
    server, _ = opened()
    if in_fragments:
        frames = [text(body[:600], rsv1=rsv1, fin=False), text(body[600:], opcode=Opcode.CONT, rsv1=False)]
    else:
        frames = [text(body, rsv1=rsv1)]
    assert send(server, *frames)[1] == (1009 if excess else None)


@pytest.mark.parametrize("fragments", [1, 8, 64])
def test_a_bomb_ends_in_1009_and_takes_bounded_memory(fragments):
    limit = 65536
    bomb = deflated(b"\x00" * 60_000_000)
    assert len(bomb) < limit
    server, _ = opened(limit=limit)
    size = -(-len(bomb) // fragments)
    frames = [
        text(bomb[at : at + size], opcode=Opcode.CONT if at else Opcode.BINARY, rsv1=not at, fin=at + size >= len(bomb))
        for at in range(0, len(bomb), size)
    ]
    tracemalloc.start()
    try:
        _, code = send(server, *frames)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == 1009
    assert peak < 4 * INFLATION * limit


@pytest.mark.parametrize(
    "frames",
    [
        [text(b"\xff\xff\xff")],  # no DEFLATE
        [Frame(Opcode.PING, b"", True, True)],  # control frames are never compressed
        [text(deflated(b"x" * 9), fin=False), Frame(Opcode.CONT, b"", True, True)],  # only the first fragment says so
        [Frame(Opcode.TEXT, b"x", True, False, True)],  # a bit that nobody has agreed on
    ],
)
def test_faults_of_compression_are_1002(frames):
    server, _ = opened()
    assert send(server, *frames)[1] == 1002


def test_compressed_text_must_be_utf8_too():
    server, _ = opened()
    assert send(server, text(deflated(b"\xff" * 9)))[1] == 1007
    server, _ = opened()
    assert send(server, text(deflated(b"\xff" * 9), opcode=Opcode.BINARY))[1] is None


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.binary(max_size=60)), max_size=12))
@example([(True, False, b"\x4a\x04\x00"), (False, True, b"")])
@settings(deadline=None)
def test_whatever_comes_it_reads_or_refuses(frames):
    inflate = BoundedInflate(PerMessageDeflate(True, True, 15, 15), 40)
    server, _ = opened()
    server.extensions = [inflate]
    is_first = True
    for rsv1, fin, data in frames:
        server.receive_data(_raw(Opcode.BINARY if is_first else Opcode.CONT, data, fin=fin, rsv1=rsv1))
        is_first = fin
    server.events_received()
    if isinstance(server.parser_exc, PayloadTooBig):
        assert server.close_sent.code == 1009
    else:
        assert server.parser_exc is None or server.close_sent.code == 1002


def _raw(opcode, data, *, fin, rsv1):
    frame = Frame(opcode, data, fin, rsv1)
    frame.check = lambda: None
    return frame.serialize(mask=True)
