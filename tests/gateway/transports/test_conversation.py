"""What RFC 6455 asks of text, and of a goodbye in the middle of a message."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State

from config.settings import WebSocketSettings
from gateway.transports.conversation import Conversation


def opened():
    server = Conversation(WebSocketSettings())
    server.state = State.OPEN
    server.parser = server.parse()
    next(server.parser)
    return server


def send(server, *frames):
    for frame in frames:
        server.receive_data(frame.serialize(mask=True))
    return int(server.close_sent.code) if server.close_sent else None


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# Characters of every length, and bytes that are none, in any mixture.
texts = st.lists(st.text(max_size=4).map(str.encode) | st.binary(max_size=2), max_size=6).map(b"".join)


@given(texts, st.lists(st.integers(0, 9), max_size=4), st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
@example("κόσμε".encode(), [1, 2, 3], Opcode.TEXT)
@example(b"\xe2\x82", [1], Opcode.TEXT)
@settings(deadline=None)
def test_only_text_has_to_be_utf8_however_it_is_cut(data, cuts, opcode):
    server, rest, frames = opened(), data, []
    for size in [*cuts, len(data)]:
        frames.append(Frame(Opcode.CONT if frames else opcode, rest[:size], len(frames) == len(cuts)))
        rest = rest[size:]
    is_good = opcode is Opcode.BINARY or is_utf8(data)
    assert send(server, *frames) == (None if is_good else 1007)
    if is_good:
        assert b"".join(bytes(frame.data) for frame in server.events_received()) == data


def test_bad_text_is_refused_before_its_message_ends():
    server = opened()
    assert send(server, Frame(Opcode.TEXT, b"\xce", False)) is None
    assert send(server, Frame(Opcode.CONT, b"\xba\xff", False)) == 1007


def test_a_message_that_is_bad_text_is_not_handed_out():
    server = opened()
    assert send(server, Frame(Opcode.TEXT, b"good"), Frame(Opcode.TEXT, b"\xff"), Frame(Opcode.TEXT, b"late")) == 1007
    assert [bytes(frame.data) for frame in server.events_received()] == [b"good"]


@pytest.mark.parametrize("first", [Opcode.TEXT, Opcode.BINARY])
def test_bytes_after_half_a_text_are_not_taken_for_the_rest_of_it(first):
    server = opened()
    frames = [Frame(first, b"\x41", False), Frame(Opcode.CONT, b"", True)]
    frames += [Frame(Opcode.BINARY, b"\xff", False), Frame(Opcode.CONT, b"\xff", True)]
    assert send(server, *frames) is None


def test_a_goodbye_may_stand_between_fragments():
    # RFC 6455 §5.4: control frames may be injected in the middle of a fragmented message.
    server = opened()
    assert send(server, Frame(Opcode.TEXT, b"half of", False), Frame(Opcode.CLOSE, Close(1000, "bye").serialize())) == 1000
