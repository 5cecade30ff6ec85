"""Text streams are read by lines: whatever a payload's white space is, one message stays one line."""

import base64
import json

import pytest

from broker.model import Publication, PublishOptions
from gateway.transports.http import SSE_WIRE, STREAM_JSON_WIRE, STREAM_PROTOBUF_WIRE, UNI_SSE_WIRE

SPACED = b'{"a":\r1,\r\n"b":"\\r\\n",\n"c":2}'


@pytest.mark.parametrize("wire", [SSE_WIRE, UNI_SSE_WIRE])
def test_carriage_returns_between_tokens_are_left_out(wire):
    assert wire.frame((b'{"a":\r1}', b"{}")) == b'data: {"a":1}\n\ndata: {}\n\n'
    assert STREAM_JSON_WIRE.frame((b'{"a":\r1}',)) == b'{"a":1}\n'


def test_bytes_keep_them():
    assert STREAM_PROTOBUF_WIRE.frame((b"\x01\r",)) == b"\x01\r"


def test_one_publication_is_one_event(run, serving):
    async def main():
        options = {"without_namespace": {"allow_subscribe_for_client": True}}
        async with serving(uni_sse={"enabled": True}, channel=options) as gateway:
            infos = {"b64info": base64.b64encode(SPACED).decode()}
            request = {"token": gateway.world.token(**infos), "subs": {"a": {}}}
            peer = await gateway.ask("POST", "/connection/uni_sse", json.dumps(request).encode())
            await peer.until(b"\n\n")
            await gateway.world.engine.pubsub.publish("a", Publication(SPACED), PublishOptions())
            event = await peer.until(b"\n\n")
            assert b"\r" not in event
            assert event.count(b"\n") == 2
            assert json.loads(event.removeprefix(b"data: "))["pub"]["data"] == json.loads(SPACED)

    run(main())
