"""Requests' header blocks, read as the library reads them: what it takes, and what it refuses."""

from collections.abc import Callable, Iterable
from functools import partial

import pytest
from hpack import Decoder, Encoder, HPACKDecodingError, OversizedHeaderListError
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.simulators.block_decoder import BlockDecoder

Fields = list[tuple[bytes, bytes]]
MOST = 65_536

names = st.sampled_from([b":method", b":path", b"authorization", b"x-own"]) | st.text("abcxyz-", min_size=1).map(str.encode)
values = st.sampled_from([b"POST", b"/", b"bearer 0123456789abcdef"]) | st.binary(max_size=200)
requests = st.lists(st.tuples(names, values, st.booleans()), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(requests, st.booleans(), st.sampled_from([None, 0, 90, 4096])), max_size=6))
def test_it_reads_what_an_encoder_writes(sent: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]]) -> None:
    encoder, decoder = Encoder(), BlockDecoder(most_bytes=MOST)
    for fields, is_coded, table_size in sent:
        if table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode(fields, huffman=is_coded)
        assert decoder.decode(block) == [(name, value) for name, value, _ in fields]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.binary(max_size=40), max_size=3))
def test_it_takes_and_refuses_what_the_library_does(blocks: list[bytes]) -> None:
    ours, theirs = BlockDecoder(most_bytes=MOST), Decoder(MOST)
    for block in blocks:
        wanted, got = _read(partial(theirs.decode, raw=True), block), _read(ours.decode, block)
        if wanted is None:
            assert got is None
            return  # the tables are not to be trusted any more
        assert got == wanted


def _read(decode: Callable[[bytes], Iterable[tuple[bytes, bytes]]], block: bytes) -> Fields | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in decode(block)]
    except (HPACKDecodingError, IndexError):  # the library's own slip with a cut-off block
        return None


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # an index beyond the table
        b"\xff\x80\x80\x80\x80\x80\x01",  # a number without end
        b"\x00\x01a",  # no value
        b"\x00\x05ab",  # a name that is cut off
        b"\x00\x01a\x81\x00",  # half a Huffman code
        b"\x00\x01a\x84\xff\xff\xff\xff",  # the end-of-string symbol, §5.2
        b"\x82\x20",  # the table's size behind a field, §4.2
        b"\x3f\xe2\x1f",  # a table of 4,097
    ],
)
def test_what_breaks_the_rules_is_refused(block: bytes) -> None:
    with pytest.raises(HPACKDecodingError):
        BlockDecoder(most_bytes=MOST).decode(block)


def test_a_list_that_is_too_large_is_refused() -> None:
    with pytest.raises(OversizedHeaderListError):
        BlockDecoder(most_bytes=100).decode(b"\x82" * 3)


def test_a_table_may_be_smaller() -> None:
    assert BlockDecoder(most_bytes=MOST).decode(b"\x3f\x45\x82") == [(b":method", b"GET")]
