"""The layout in bytes: what goes in comes out, and what is no message of ours is refused."""

import struct

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.engines.redis.envelope import (
    Garbled,
    decode_kept,
    decode_message,
    encode_body,
    encode_membership,
    encode_unkept,
)
from broker.model import ClientInfo, Join, Leave, Publication

TEXTS = st.text(max_size=20)
INFOS = st.builds(ClientInfo, TEXTS, TEXTS, st.binary(max_size=20), st.binary(max_size=20))
PUBLICATIONS = st.builds(
    Publication,
    st.binary(max_size=200),
    info=st.none() | INFOS,
    tags=st.dictionaries(TEXTS, TEXTS, max_size=3),
    delta=st.booleans(),
    trace=st.just("") | st.text(max_size=60),
)


def in_stream(publication, offset, epoch, time_ms):
    """What `lua/publish.lua` writes."""
    return b"P" + struct.pack(">Q8sQ", offset, epoch.encode(), time_ms) + encode_body(publication)


def placed(publication, offset=0, epoch="", time_ms=0):
    return Publication(
        publication.data, offset, epoch, publication.info, publication.tags, publication.delta, time_ms, publication.trace
    )


@given(PUBLICATIONS)
def test_a_publication_without_a_stream_comes_back(publication):
    assert decode_message(encode_unkept(publication)) == publication


@given(PUBLICATIONS, st.integers(1, 2**53), st.text("abcXYZ", min_size=8, max_size=8), st.integers(0, 2**53))
def test_a_publication_of_a_stream_comes_back_with_its_place(publication, offset, epoch, time_ms):
    decoded = decode_message(in_stream(publication, offset, epoch, time_ms))
    assert decoded == placed(publication, offset, epoch, time_ms)


@given(st.lists(PUBLICATIONS, max_size=4), st.integers(1, 2**53))
def test_kept_publications_come_back_in_their_places(publications, first):
    bodies = [encode_body(publication) for publication in publications]
    expected = [placed(publication, first + index, "epochabc") for index, publication in enumerate(publications)]
    assert decode_kept(bodies, first, "epochabc") == expected


@given(INFOS)
def test_joins_and_leaves_come_back(info):
    assert decode_message(encode_membership(Join(info))) == Join(info)
    assert decode_message(encode_membership(Leave(info))) == Leave(info)


def test_a_plain_publication_has_little_around_it():
    assert len(encode_body(Publication(b"x" * 100))) == 101
    assert len(in_stream(Publication(b"x" * 100), 1, "abcdefgh", 0)) == 126


@given(st.binary(max_size=60) | st.builds(bytes.__add__, st.sampled_from([b"P", b"p", b"J", b"L"]), st.binary(max_size=60)))
@example(b"")
@example(b"p\x01\x00\x00\x00\xff")
@example(b"P" + bytes(7))
@example(b"P" + bytes(8) + b"\xff" * 8 + bytes(9))
def test_any_bytes_are_a_message_or_garbled(message):
    try:
        decoded = decode_message(message)
    except Garbled:
        return
    assert isinstance(decoded, Publication | Join | Leave)


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x01\x00\x00\x00\x05ab", b"\x01\x00\x00\x00\x01\xc1"])
def test_a_kept_body_that_cannot_be_read_is_told(body):
    with pytest.raises(Garbled):
        decode_kept([encode_body(Publication(b"1")), body], 1, "epochabc")


class HeadOfOlderNodes(msgspec.Struct, array_like=True):
    info: tuple[str, str, bytes, bytes] | None
    tags: dict[str, str]


@given(PUBLICATIONS)
def test_nodes_that_know_of_no_traces_read_over_them(publication):
    traced = msgspec.structs.replace(publication, trace="00-traced")
    body = encode_body(traced)
    length = int.from_bytes(body[1:5], "big")
    head = msgspec.msgpack.decode(body[5 : 5 + length], type=HeadOfOlderNodes)
    assert head.tags == publication.tags
    assert (head.info is None) == (publication.info is None)
    assert body[5 + length :] == publication.data


def test_what_is_not_traced_has_the_bytes_that_it_always_had():
    info = ClientInfo("u", "c")
    head = msgspec.msgpack.encode([["u", "c", b"", b""], {"a": "b"}])
    assert encode_body(Publication(b"{}", info=info, tags={"a": "b"})) == b"\x01" + struct.pack(">I", len(head)) + head + b"{}"
    assert encode_body(Publication(b"{}")) == b"\x00{}"
