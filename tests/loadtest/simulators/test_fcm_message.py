"""What a message may hold."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.simulators.fcm_message import InvalidMessage, parse_send_request


def parse(message: object) -> None:
    parse_send_request(json.dumps({"message": message}).encode())


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"token": "a", "colour": "red"}, "message"),
        ({"token": "a", "notification": {"titel": "T"}}, "message.notification"),
        ({"token": "a", "data": {"n": 1}}, "message.data[...]"),
        ({"token": "a", "data": {"from": "x"}}, "message.data"),
        ({"token": "a", "data": {"gcm.id": "x"}}, "message.data"),
        ({"token": "a", "data": {"google_x": "x"}}, "message.data"),
        ({"token": "a", "android": {"ttl": 60}}, "message.android.ttl"),
        ({"token": "a", "android": {"ttl": "60"}}, "message.android.ttl"),
        ({"token": "a", "android": {"ttl": "-1s"}}, "message.android.ttl"),
        ({"token": "a", "android": {"priority": "urgent"}}, "message.android.priority"),
        ({"token": "a", "android": {"notification": {"color": "red"}}}, "message.android.notification.color"),
        (
            {"token": "a", "android": {"notification": {"notification_count": "3"}}},
            "message.android.notification.notification_count",
        ),
        ({"token": "a", "fcm_options": {"analytics_label": "with blank"}}, "message.fcm_options.analytics_label"),
        ({"token": "a", "apns": {"headers": {"apns-priority": 10}}}, "message.apns.headers[...]"),
        ({"token": "a", "apns": {"payload": {"aps": "x" * 4096}}}, "message.apns.payload"),
        ({"token": "a", "data": {"k": "x" * 4096}}, "message"),
        ({"topic": "t", "data": {"k": "x" * 2048}}, "message"),
        ({"token": "a", "notification": {"body": "x" * 4096}}, "message"),
        ({"token": "a", "android": {"data": {"k": "x" * 4096}}}, "message"),
        ({}, "message"),
        ({"token": ""}, "message"),
        ({"token": "a", "topic": "t"}, "message"),
        ([], "message"),
    ],
)
def test_refusals_name_the_field(message: object, field: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse(message)
    assert (caught.value.field, caught.value.is_recipient) == (field, False)


@pytest.mark.parametrize("token", ["with blank", "x" * 4097, "tab\t", "ümlaut"])
def test_a_malformed_token_is_the_recipients_fault(token: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse({"token": token})
    assert caught.value.is_recipient


@pytest.mark.parametrize(
    "message",
    [
        {"token": "a", "data": {"k": "x" * 4095}},
        {"topic": "t", "data": {"k": "x" * 2047}},
        {"token": "x" * 4096},
        {"condition": "'a' in topics"},
        {"token": "a", "android": {"ttl": "0s", "priority": "high"}},
        {"token": "a", "android": {"ttl": "3.5s"}},
        {"token": "a", "webpush": {"notification": {"title": "T", "actions": [{"action": "x"}]}}},
    ],
)
def test_limits_are_inclusive(message: dict[str, Any]) -> None:
    parse(message)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message":{"token":"a"},"dry_run":true}', b"\xff", b'{"message":null}'])
def test_bodies_that_are_no_request(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        parse_send_request(body)


@settings(deadline=None)
@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_any_bytes_are_a_request_or_invalid(body: bytes) -> None:
    try:
        parse_send_request(body)
    except InvalidMessage:
        pass
