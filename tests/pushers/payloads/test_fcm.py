"""Messages for FCM, held against those of Google's own library."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from firebase_admin import messaging

from broker.notification import Device, Lane, Notification, Provider, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.fcm import LIMIT_BYTES, FcmMessage, compose_fcm

# Google's library asks for installation ids instead of tokens; both are served.
pytestmark = pytest.mark.filterwarnings("ignore:Message.token is deprecated:DeprecationWarning")

ID = "019b76da-a800-7000-8000-00000000000a"
Compose = Callable[..., FcmMessage]


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(Provider.FCM, "token:1")


@pytest.fixture
def compose(make_notification: Callable[..., Notification], device: Device, now: datetime) -> Compose:
    def make(*, after_s: float = 0, **given: Any) -> FcmMessage:
        message = compose_fcm(make_notification(**given), device, now=now + timedelta(seconds=after_s))
        assert isinstance(message, FcmMessage)
        return message

    return make


def read(message: FcmMessage) -> dict[str, Any]:
    body = msgspec.json.decode(message.body)
    assert list(body) == ["message"]
    found: dict[str, Any] = body["message"]
    return found


def test_full_message_is_what_googles_library_would_send(compose: Compose) -> None:
    ours = compose(
        title="T", body="B", data={"order": 7}, category="orders", link="https://s.example/7", image="https://i.example/7",
        collapse_key="order-7", subtitle="S", badge=3, sound="chime", thread="orders-of-7",
    )  # fmt: skip
    theirs = messaging.Message(
        token="token:1",
        data={"order": "7", "hg_id": ID, "link": "https://s.example/7", "category": "orders", "thread": "orders-of-7"},
        notification=messaging.Notification("T", "S\nB", "https://i.example/7"),
        android=messaging.AndroidConfig(
            collapse_key="order-7",
            priority="high",
            ttl=3600,
            notification=messaging.AndroidNotification(tag="order-7", notification_count=3, sound="chime"),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10", "apns-expiration": "1767229200", "apns-collapse-id": "order-7"},
            payload=messaging.APNSPayload(
                messaging.Aps(sound="chime", category="orders", thread_id="orders-of-7", badge=3, mutable_content=True)
            ),
            fcm_options=messaging.APNSFCMOptions(image="https://i.example/7"),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "3600", "Urgency": "normal", "Topic": "order-7"},
            fcm_options=messaging.WebpushFCMOptions(link="https://s.example/7"),
        ),
        fcm_options=messaging.FCMOptions(analytics_label="orders"),
    )
    assert read(ours) == msgspec.json.decode(str(theirs))


def test_data_message_is_what_googles_library_would_send(compose: Compose) -> None:
    theirs = messaging.Message(
        token="token:1",
        data={"sync": "true", "hg_id": ID},
        android=messaging.AndroidConfig(priority="normal", ttl=60),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "5", "apns-expiration": "1767225660", "apns-collapse-id": ID},
            payload=messaging.APNSPayload(messaging.Aps(content_available=True)),
        ),
        webpush=messaging.WebpushConfig(headers={"TTL": "60", "Urgency": "normal", "Topic": "AZt22qgAcACAAAAAAAAACg"}),
    )
    assert read(compose(data={"sync": True}, ttl_s=60)) == msgspec.json.decode(str(theirs))


@pytest.mark.parametrize(
    ("lane", "shown", "silent", "apns", "urgency"),
    [
        (Lane.CRITICAL, "high", "high", "10", "high"),
        (Lane.HIGH, "high", "high", "10", "high"),
        (Lane.NORMAL, "high", "normal", "10", "normal"),
        (Lane.BULK, "normal", "normal", "5", "low"),
    ],
)
def test_priority_by_lane(compose: Compose, lane: Lane, shown: str, silent: str, apns: str, urgency: str) -> None:
    message = read(compose(title="T", lane=lane))
    assert message["android"]["priority"] == shown
    assert message["apns"]["headers"]["apns-priority"] == apns
    assert message["webpush"]["headers"]["Urgency"] == urgency
    assert read(compose(data={"a": 1}, lane=lane))["android"]["priority"] == silent


def test_iphones_reached_through_fcm_sound_unless_silence_is_asked_for(compose: Compose) -> None:
    assert read(compose(title="T"))["apns"]["payload"] == {"aps": {"sound": "default"}}
    for silent in (compose(title="T", sound="none"), compose(title="T", lane=Lane.BULK)):
        assert read(silent)["apns"]["payload"] == {"aps": {}}


def test_a_badge_of_zero_clears_it_where_that_is_possible(compose: Compose) -> None:
    message = read(compose(title="T", badge=0))
    assert message["apns"]["payload"]["aps"]["badge"] == 0
    assert "notification_count" not in message["android"]["notification"]


def test_a_silent_push_shows_nothing_though_it_has_texts(compose: Compose) -> None:
    message = read(compose(title="T", push_type=PushType.BACKGROUND))
    assert "notification" not in message
    assert message["data"] == {"hg_id": ID, "push_type": "background"}
    assert message["android"]["priority"] == "normal"
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}


def test_a_call_reaches_the_app_at_once_and_says_who_calls(compose: Compose) -> None:
    message = read(compose(title="Ann", body="calls", push_type=PushType.VOIP, ttl_s=30))
    assert "notification" not in message
    assert message["data"] == {"hg_id": ID, "push_type": "voip", "title": "Ann", "body": "calls"}
    assert (message["android"]["priority"], message["android"]["ttl"]) == ("high", "30s")


def test_live_activities_are_apples(make_notification: Callable[..., Notification], device: Device, now: datetime) -> None:
    notification = make_notification(data={"event": "end"}, push_type=PushType.LIVE_ACTIVITY)
    assert isinstance(compose_fcm(notification, device, now=now), DropMessage)


def test_time_to_live_is_counted_at_sending(compose: Compose) -> None:
    assert read(compose(title="T", ttl_s=100, after_s=40))["android"]["ttl"] == "60s"
    late = read(compose(title="T", ttl_s=100, after_s=140))
    assert (late["android"]["ttl"], late["apns"]["headers"]["apns-expiration"]) == ("0s", "0")


def test_without_a_collapse_key_only_its_own_repeat_replaces_it(compose: Compose) -> None:
    android = read(compose(title="T"))["android"]
    assert android["notification"] == {"tag": ID}
    assert "collapse_key" not in android


def test_link_of_another_scheme_stays_data(compose: Compose) -> None:
    message = read(compose(title="T", link="app://7"))
    assert message["data"]["link"] == "app://7"
    assert "fcm_options" not in message["webpush"]


def test_category_that_is_no_label_is_not_one(compose: Compose) -> None:
    assert "fcm_options" not in read(compose(title="T", category="news & offers"))


def test_long_body_is_cut_by_what_fcm_counts(compose: Compose) -> None:
    message = compose(title="T", body="b" * 5000, collapse_key="k" * 1000)
    assert message.counted_bytes == LIMIT_BYTES
    assert len(message.body) > LIMIT_BYTES
    assert message.cuts[0].startswith("body -")


def test_large_data_are_never_cut(make_notification: Callable[..., Notification], device: Device, now: datetime) -> None:
    assert compose_fcm(make_notification(title="T", data={"k": "v" * 4096}), device, now=now) == TooLarge(LIMIT_BYTES)
