"""Payloads between clients of both encodings and the backend."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.json_codec import JsonCodec, is_json
from gateway.protocol.messages import NO_DATA
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.proxy.errors import BadAnswer
from gateway.proxy.payloads import json_of, pack, payload_for, payload_of
from gateway.transports.frames import WebSocketWire


class _Encoded:
    """All that a payload's way asks of a client."""

    def __init__(self, codec):
        self.wire = WebSocketWire(codec)


JSON_CLIENT, PROTOBUF_CLIENT = _Encoded(JsonCodec()), _Encoded(ProtobufCodec())


@given(st.binary())
def test_any_bytes_make_the_way_there_and_back_in_base64(data):
    raw, b64 = pack(data, is_binary=True)
    assert raw == NO_DATA
    assert payload_of(NO_DATA, b64) == data


@given(st.binary(min_size=1))
def test_only_json_travels_as_it_is(data):
    try:
        raw, b64 = pack(data, is_binary=False)
    except ClientError as exc:
        assert exc.error.code == 107
        assert not is_json(data)
    else:
        assert (bytes(raw), b64) == (data, "")
        assert is_json(data)


def test_nothing_stays_nothing():
    assert pack(b"", is_binary=False) == pack(b"", is_binary=True) == (NO_DATA, "")
    assert payload_of(NO_DATA, None) == payload_of(Raw(b" null "), "") == b""


@given(st.binary(min_size=1))
def test_what_fits_which_client(data):
    b64 = base64.b64encode(data).decode()
    assert payload_for(PROTOBUF_CLIENT, NO_DATA, b64) == data
    if is_json(data):
        assert b"\n" not in payload_for(JSON_CLIENT, NO_DATA, b64)
    else:
        with pytest.raises(DisconnectClient):
            payload_for(JSON_CLIENT, NO_DATA, b64)


@pytest.mark.parametrize("b64", ["%", "a", "YQ", "YQ==\n", "ä"])
def test_what_is_no_base64(b64):
    with pytest.raises(BadAnswer):
        payload_of(Raw(b"{}"), b64)


def test_what_others_see_is_json():
    assert json_of(Raw(b'{"a":\r\n1}'), None) == b'{"a":  1}'
    assert json_of(NO_DATA, base64.b64encode(b"[1]").decode()) == b"[1]"
    with pytest.raises(BadAnswer):
        json_of(NO_DATA, base64.b64encode(b"[1").decode())
