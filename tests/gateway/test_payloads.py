"""What a publication may consist of, and that what is let in can be read by all who come after."""

import pytest

from config.settings import ChannelOptions
from gateway.payloads import is_nested_too_deep, payload_fault

EMPTY, JSON, OBJECT = "data must not be empty", "data must be JSON", "data must be a JSON object"


@pytest.mark.parametrize(
    ("form", "data", "fault"),
    [
        ("", b"", EMPTY),
        ("", b"1", ""),
        ("", b"\x00\x01", ""),
        ("binary", b"", ""),
        ("binary", b"\x00", ""),
        ("json", b"", JSON),
        ("json", b"1", ""),
        ("json", b"null", ""),
        ("json", b"{", JSON),
        ("json", b"1 2", JSON),
        ("json", b'"\xff"', JSON),
        ("json", '"ä"'.encode(), ""),
        ("json_object", b"{}", ""),
        ("json_object", b"[]", OBJECT),
        ("json_object", b"null", OBJECT),
        ("json_object", b"{", OBJECT),
        ("json_object", b"", OBJECT),
    ],
)
def test_formats(form, data, fault):
    assert payload_fault(data, ChannelOptions(publication_data_format=form)) == fault


def nested(depth):
    return b"[" * depth + b"]" * depth


def test_depth():
    assert not is_nested_too_deep(nested(256))
    assert not is_nested_too_deep(nested(600))
    assert is_nested_too_deep(nested(900))
    assert not is_nested_too_deep(b"[" + b"[]," * 100_000 + b"1]")
    assert not is_nested_too_deep(b'"' + b"[" * 100_000 + b'"')
    assert not is_nested_too_deep(b"]" + b"[" * 900)


OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}


async def test_no_depth_ends_others_than_who_sent_it(world):
    # Fan-out stands deeper in the stack than the reading of commands: there is a depth that one can read and the other not.
    world = world(channel=OPEN)
    publisher, bystander = world.connected("1"), world.connected("2")
    bystander.send({"id": 2, "subscribe": {"channel": "a"}})
    refused = 0
    for depth in range(700, 1000):
        publisher.session.receive(b'{"id":2,"publish":{"channel":"a","data":%b}}' % nested(depth))
        bystander.session.client.turn.flush()
        assert bystander.closed is None, depth
        if publisher.closed is not None:
            break
        (reply,) = publisher.read()
        refused += "error" in reply
        assert reply.get("error", {"code": 107})["code"] == 107, depth
    assert publisher.closed == (3501, "bad request")
    assert refused


async def test_no_depth_over_the_api_ends_clients(world, api):
    world = world(channel=OPEN)
    opened, bystander = api(world), world.connected("2")
    bystander.send({"id": 2, "subscribe": {"channel": "a"}})
    for depth in range(700, 1000):
        response = await opened.post("publish", b'{"channel":"a","data":%b}' % nested(depth))
        bystander.session.client.turn.flush()
        assert bystander.closed is None, depth
        assert response.status_code in (200, 400)
        assert response.json().get("error", {"code": 107})["code"] == 107 if response.status_code == 200 else True
