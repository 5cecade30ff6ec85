"""The application's data on its way to providers."""

from collections.abc import Callable

import msgspec
import pytest

from broker.notification import Content, Notification
from pushers.payloads.data import read_data, read_text_data


def content(text: bytes) -> Content:
    return Content(data=msgspec.Raw(text))


def test_absent_data_have_no_members() -> None:
    assert read_data(Content()) == read_text_data(Content()) == {}


def test_values_stay_as_they_were_written() -> None:
    data = read_data(content(b'{"big": 12345678901234567890.10, "text": "\\u00e4"}'))
    assert msgspec.json.encode(data) == b'{"big":12345678901234567890.10,"text":"\\u00e4"}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ('a "quote"', 'a "quote"'),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ([1, {"a": 2}], '[1,{"a":2}]'),
    ],
)
def test_values_become_text(make_notification: Callable[..., Notification], value: object, expected: str) -> None:
    assert read_text_data(make_notification(data={"key": value}).content) == {"key": expected}


@pytest.mark.parametrize("name", ["from", "message_type", "gcm", "gcm.notification.x", "google", "google.c.a"])
def test_names_that_fcm_keeps_get_an_underscore(make_notification: Callable[..., Notification], name: str) -> None:
    notification = make_notification(data={name: "x", "fromage": "y"})
    assert read_text_data(notification.content) == {f"_{name}": "x", "fromage": "y"}
