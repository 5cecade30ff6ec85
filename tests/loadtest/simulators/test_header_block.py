"""Blocks that an ordinary decoder reads, whatever table it allows."""

from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.simulators.header_block import PlainEncoder

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=200).map(str.encode)
values = st.binary(max_size=700)
statuses = st.integers(100, 599).map(lambda status: str(status).encode())
replies = st.tuples(statuses, st.lists(st.tuples(names, values), max_size=4)).map(lambda r: [(b":status", r[0]), *r[1]])


@settings(deadline=None)
@given(st.lists(replies, max_size=4), st.sampled_from([0, 100, 4096, 65_536]))
def test_a_decoder_reads_what_was_written(sent: list[list[tuple[bytes, bytes]]], table_size: int) -> None:
    encoder, decoder = PlainEncoder(), Decoder()
    decoder.max_allowed_table_size = table_size
    for headers in sent:
        assert list(decoder.decode(encoder.encode(headers), raw=True)) == headers


def test_lengths_at_the_edges_of_the_prefix() -> None:
    encoder, decoder = PlainEncoder(), Decoder()
    for length in (0, 126, 127, 128, 254, 255, 16_510, 16_511):
        headers = [(b":status", b"200"), (b"x", b"v" * length)]
        assert list(decoder.decode(encoder.encode(headers), raw=True)) == headers


def test_the_common_status_is_one_byte() -> None:
    encoder = PlainEncoder()
    assert encoder.encode([(b":status", b"200")]) == b"\x20\x88"
    assert encoder.encode([(b":status", b"200")]) == b"\x88"
