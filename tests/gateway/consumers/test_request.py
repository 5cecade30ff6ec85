"""A payload gets an idempotency key where it has none and the method knows them; nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.event_source import Item
from gateway.consumers.request import body_of


def body(payload: bytes, method: str = "publish", token: str = "17:1.5") -> bytes:
    return body_of(Item("17", method, payload, token=token), "events")


@pytest.mark.parametrize("method", ["publish", "broadcast", "notify"])
@pytest.mark.parametrize("payload", [b"{}", b'{"channel":"a"}', b'{"idempotency_key":""}', b'{"idempotency_key": null }'])
def test_a_key_is_made_of_what_names_the_item(method: str, payload: bytes) -> None:
    assert json.loads(body(payload, method))["idempotency_key"] == "events:17:1.5"


@pytest.mark.parametrize(
    ("method", "payload"),
    [
        ("publish", b'{"idempotency_key":"mine"}'),
        ("publish", b'{"idempotency_key":7}'),
        ("publish", b"no json"),
        ("publish", b"[1]"),
        ("publish", b"\xff"),
        ("publish", b"[" * 100_000),
        ("disconnect", b"{}"),
        ("batch", b'{"commands":[]}'),
    ],
)
def test_everything_else_stays_as_it_is(method: str, payload: bytes) -> None:
    assert body(payload, method) is payload


def test_without_a_token_there_is_no_key() -> None:
    assert body(b"{}", token="") == b"{}"


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans()), max_size=5))
def test_other_fields_keep_their_bytes(fields: dict[str, object]) -> None:
    fields.pop("idempotency_key", None)
    told = json.loads(body(json.dumps(fields).encode()))
    assert told.pop("idempotency_key") == "events:17:1.5"
    assert told == fields
