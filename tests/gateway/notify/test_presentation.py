"""What is said of a notification's looks, and of the kind of push it is."""

import msgspec
import pytest
from msgspec import Raw

from broker.errors import BadInput
from broker.notification import PushType
from config.settings import NotificationSettings
from gateway.notify.draft import draft_of
from gateway.notify.messages import NotifyRequest

START = b'{"event":"start","content-state":{"a":1},"attributes-type":"Match","attributes":{"id":7}}'


def content(**fields):
    return draft_of(NotifyRequest(**{"user": "42", "title": "Hello", **fields}), NotificationSettings(), "").content


def test_everything_arrives():
    made = content(subtitle="S", badge=0, sound="chime.caf", thread="orders", push_type="voip")
    assert (made.subtitle, made.badge, made.sound, made.thread, made.push_type) == (
        "S",
        0,
        "chime.caf",
        "orders",
        PushType.VOIP,
    )


def test_what_is_not_said_is_not_stored():
    assert msgspec.json.encode(content()) == b'{"title":"Hello"}'


def test_the_push_type_follows_from_the_texts_unless_it_is_said():
    assert content().effective_push_type is PushType.ALERT
    assert content(title="", data=Raw(b'{"a":1}')).effective_push_type is PushType.BACKGROUND
    assert content(push_type="background").effective_push_type is PushType.BACKGROUND


@pytest.mark.parametrize("data", [START, b'{"event":"update","content-state":{}}', b'{"event":"end"}'])
def test_live_activities_that_are_whole(data):
    assert content(title="", data=Raw(data), push_type="live-activity").push_type is PushType.LIVE_ACTIVITY


REFUSED = [
    ({"subtitle": "x" * 257}, "subtitle"),
    ({"badge": -1}, "badge"),
    ({"badge": 100_000}, "badge"),
    ({"sound": "../x"}, "sound"),
    ({"sound": "x" * 65}, "sound"),
    ({"thread": "a\nb"}, "thread"),
    ({"thread": "x" * 65}, "thread"),
    ({"push_type": "silent"}, "push_type"),
    ({"title": "", "data": Raw(b'{"a":1}'), "push_type": "alert"}, "push_type"),
    ({"push_type": "live-activity"}, "data.event"),
    ({"push_type": "live-activity", "data": Raw(b'{"event":"stop"}')}, "data.event"),
    ({"push_type": "live-activity", "data": Raw(b'{"event":["end"]}')}, "data.event"),
    ({"push_type": "live-activity", "data": Raw(b'{"event":"update","content-state":1}')}, "data.content-state"),
    ({"push_type": "live-activity", "data": Raw(START.replace(b'"Match"', b"1"))}, "data.attributes-type"),
    ({"push_type": "live-activity", "data": Raw(START.replace(b'{"id":7}', b"7"))}, "data.attributes"),
]


@pytest.mark.parametrize(("fields", "field"), REFUSED)
def test_what_is_wrong_is_named(fields, field):
    with pytest.raises(BadInput) as refused:
        content(**fields)
    assert refused.value.field == field
