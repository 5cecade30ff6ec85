"""What a service worker reads, and the headers of RFC 8030."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from broker.notification import Lane, Notification, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.webpush import LIMIT_BYTES, WebPushMessage, compose_webpush

ID = "019b76da-a800-7000-8000-00000000000a"


def test_everything_at_its_place(make_notification: Callable[..., Notification], now: datetime) -> None:
    notification = make_notification(
        title="T", body="B", data={"order": 7}, link="https://s.example/7", image="https://i.example/7", collapse_key="order 7"
    )
    message = compose_webpush(notification, now=now)
    assert isinstance(message, WebPushMessage)
    assert msgspec.json.decode(message.plaintext) == {
        "title": "T",
        "options": {
            "body": "B",
            "image": "https://i.example/7",
            "tag": "order 7",
            "data": {"order": 7, "hg_id": ID, "link": "https://s.example/7"},
        },
    }
    assert message.headers == {"ttl": "3600", "urgency": "normal", "topic": message.headers["topic"]}
    assert len(message.headers["topic"]) == 32


@pytest.mark.parametrize(
    ("lane", "urgency", "stays"),
    [(Lane.CRITICAL, "high", True), (Lane.HIGH, "high", False), (Lane.NORMAL, "normal", False), (Lane.BULK, "low", False)],
)
def test_urgency_by_lane(
    make_notification: Callable[..., Notification], now: datetime, lane: Lane, urgency: str, stays: bool
) -> None:
    message = compose_webpush(make_notification(title="T", lane=lane), now=now)
    assert isinstance(message, WebPushMessage)
    assert message.headers["urgency"] == urgency
    assert msgspec.json.decode(message.plaintext)["options"].get("requireInteraction", False) is stays


def test_nothing_to_show_is_dropped(make_notification: Callable[..., Notification], now: datetime) -> None:
    assert isinstance(compose_webpush(make_notification(data={"a": 1}), now=now), DropMessage)


def test_long_body_fills_one_record(make_notification: Callable[..., Notification], now: datetime) -> None:
    message = compose_webpush(make_notification(title="T", body="b" * 5000), now=now)
    assert isinstance(message, WebPushMessage)
    assert len(message.plaintext) == LIMIT_BYTES
    assert message.cuts[0].startswith("body -")


def test_large_data_are_never_cut(make_notification: Callable[..., Notification], now: datetime) -> None:
    assert compose_webpush(make_notification(title="T", data={"k": "v" * 4000}), now=now) == TooLarge(LIMIT_BYTES)


def test_what_a_worker_is_told_beside_the_texts(make_notification: Callable[..., Notification], now: datetime) -> None:
    notification = make_notification(title="T", subtitle="S", body="B", badge=0, thread="orders", sound="none")
    message = compose_webpush(notification, now=now)
    assert isinstance(message, WebPushMessage)
    options = msgspec.json.decode(message.plaintext)["options"]
    assert (options["body"], options["silent"]) == ("S\nB", True)
    assert options["data"] == {"hg_id": ID, "thread": "orders", "badge": 0}  # for setAppBadge: `options.badge` is a picture


@pytest.mark.parametrize("push_type", [PushType.BACKGROUND, PushType.LIVE_ACTIVITY])
def test_browsers_take_neither_silent_pushes_nor_live_activities(
    make_notification: Callable[..., Notification], now: datetime, push_type: PushType
) -> None:
    assert isinstance(compose_webpush(make_notification(title="T", push_type=push_type), now=now), DropMessage)


def test_a_call_stays_until_it_is_answered(make_notification: Callable[..., Notification], now: datetime) -> None:
    message = compose_webpush(make_notification(title="Ann", push_type=PushType.VOIP), now=now)
    assert isinstance(message, WebPushMessage)
    assert msgspec.json.decode(message.plaintext)["options"]["requireInteraction"] is True
