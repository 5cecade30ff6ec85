"""Frames in any chunking, and the rules that a server must keep."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from loadtest.frames import CLOSE, PING, TEXT, BadFrame, FrameParser, close_code, encode_frame

messages = st.lists(st.tuples(st.sampled_from([TEXT, 0x2, PING, CLOSE]), st.binary(max_size=300)), max_size=8)


def serve_frame(opcode: int, payload: bytes, *, is_final: bool = True) -> bytes:
    """Encode as a server does, by an independent implementation."""
    return Frame(Opcode(opcode), payload, fin=is_final).serialize(mask=False)


def feed_in_chunks(stream: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    parser = FrameParser()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [found for low, high in itertools.pairwise(edges) for found in parser.feed(stream[low:high])]


def short(opcode: int, payload: bytes) -> bytes:
    """Control frames hold at most 125 bytes."""
    return payload[:125] if opcode & 0x8 else payload


@given(messages, st.lists(st.integers(0, 3000), max_size=40))
@example([(TEXT, b"x" * 300)], list(range(310)))
def test_messages_survive_any_chunking(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    sent = [(opcode, short(opcode, payload)) for opcode, payload in sent]
    assert feed_in_chunks(b"".join(serve_frame(*message) for message in sent), cuts) == sent


@given(
    st.lists(st.binary(max_size=50), min_size=2, max_size=5), st.binary(max_size=20), st.lists(st.integers(0, 400), max_size=9)
)
def test_fragments_are_joined_and_control_frames_pass_between(parts: list[bytes], ping: bytes, cuts: list[int]) -> None:
    frames = [
        serve_frame(TEXT if number == 0 else 0x0, part, is_final=number == len(parts) - 1) for number, part in enumerate(parts)
    ]
    stream = frames[0] + serve_frame(PING, ping) + b"".join(frames[1:])
    assert feed_in_chunks(stream, cuts) == [(PING, ping), (TEXT, b"".join(parts))]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_every_form_of_length_is_read(size: int) -> None:
    assert FrameParser().feed(serve_frame(TEXT, b"x" * size)) == [(TEXT, b"x" * size)]


@pytest.mark.parametrize(
    "stream",
    [
        Frame(Opcode.TEXT, b"hello").serialize(mask=True),
        bytes((0xC1, 0x01, 0x78)),
        bytes((0x81, 0x7F)) + (2**40).to_bytes(8, "big"),
    ],
    ids=["masked", "reserved bit", "absurd length"],
)
def test_a_server_that_breaks_the_rules_is_refused(stream: bytes) -> None:
    with pytest.raises(BadFrame):
        FrameParser().feed(stream)


@given(st.binary(max_size=500))
def test_arbitrary_bytes_give_messages_or_our_error(stream: bytes) -> None:
    try:
        FrameParser().feed(stream)
    except BadFrame:
        pass


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_client_frames_are_masked_as_a_server_demands(size: int) -> None:
    payload = b"y" * size
    frame = encode_frame(TEXT, payload)
    assert frame[1] & 0x80
    # The masking key is zero, so a masked frame of the independent implementation differs in key and payload alone.
    assert len(frame) == len(Frame(Opcode.TEXT, payload).serialize(mask=True))
    assert frame.endswith(payload)


def test_the_code_of_a_close_frame() -> None:
    assert close_code((3001).to_bytes(2, "big") + b"shutdown") == 3001
    assert close_code(b"") == 1005


@given(st.binary(max_size=400), st.integers(0, 3), st.binary(max_size=4))
def test_the_short_way_for_one_whole_text_frame_agrees_with_the_long_one(payload: bytes, cut: int, more: bytes) -> None:
    stream = serve_frame(TEXT, payload) + more
    stream = stream[: len(stream) - cut] if cut else stream
    start = FrameParser().text_start(stream)
    if start:
        assert FrameParser().feed(stream) == [(TEXT, stream[start:])]
    elif not more and not cut and len(payload) > 1:
        raise AssertionError("a whole frame went the long way")


def test_the_short_way_is_closed_while_a_message_is_cut() -> None:
    parser = FrameParser()
    parser.feed(serve_frame(TEXT, b"part", is_final=False))
    assert parser.text_start(serve_frame(TEXT, b"whole")) == 0
