"""Bodies and headers for APNs, field by field."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from broker.notification import Device, Lane, Notification, Provider, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.apns import LIMIT_BYTES, VOIP_LIMIT_BYTES, ApnsMessage, compose_apns

Compose = Callable[..., ApnsMessage]


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(Provider.APNS, "aa" * 32)


@pytest.fixture
def compose(make_notification: Callable[..., Notification], device: Device, now: datetime) -> Compose:
    def make(*, after_s: float = 0, **given: Any) -> ApnsMessage:
        at = now + timedelta(seconds=after_s)
        message = compose_apns(make_notification(**given), device, topic="io.example.app", now=at)
        assert isinstance(message, ApnsMessage)
        return message

    return make


def test_everything_at_its_place(compose: Compose) -> None:
    message = compose(
        title="T",
        body="B",
        data={"order": 7, "nested": {"a": [1]}},
        category="orders",
        link="app://7",
        image="https://i.example/7",
    )
    assert msgspec.json.decode(message.body) == {
        "order": 7,
        "nested": {"a": [1]},
        "aps": {"alert": {"title": "T", "body": "B"}, "sound": "default", "category": "orders", "mutable-content": 1},
        "hg_id": "019b76da-a800-7000-8000-00000000000a",
        "link": "app://7",
        "img": "https://i.example/7",
    }
    assert message.headers == {
        "apns-topic": "io.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1767229200",
        "apns-id": message.headers["apns-id"],
        "apns-collapse-id": "019b76da-a800-7000-8000-00000000000a",
    }
    assert message.cuts == ()


def test_data_cannot_pass_for_ours(compose: Compose) -> None:
    body = msgspec.json.decode(compose(title="T", link="l", data={"aps": {"badge": 9}, "hg_id": "x", "link": "x"}).body)
    assert body == {
        "aps": {"alert": {"title": "T"}, "sound": "default"},
        "hg_id": "019b76da-a800-7000-8000-00000000000a",
        "link": "l",
    }
    assert msgspec.json.decode(compose(title="T", data={"link": "theirs"}).body)["link"] == "theirs"


def test_without_text_it_is_a_background_push(compose: Compose) -> None:
    message = compose(data={"sync": True}, lane=Lane.CRITICAL)
    assert msgspec.json.decode(message.body)["aps"] == {"content-available": 1}
    assert (message.headers["apns-push-type"], message.headers["apns-priority"]) == ("background", "5")


@pytest.mark.parametrize(
    ("lane", "priority", "aps"),
    [
        (Lane.CRITICAL, "10", {"sound": "default"}),
        (Lane.HIGH, "10", {"sound": "default"}),
        (Lane.NORMAL, "10", {"sound": "default"}),
        (Lane.BULK, "5", {"interruption-level": "passive"}),
    ],
)
def test_priority_by_lane(compose: Compose, lane: Lane, priority: str, aps: dict[str, str]) -> None:
    message = compose(title="T", lane=lane)
    assert message.headers["apns-priority"] == priority
    assert msgspec.json.decode(message.body)["aps"] == {"alert": {"title": "T"}, **aps}


def test_expired_is_now_or_never(compose: Compose) -> None:
    assert compose(title="T", ttl_s=60, after_s=61).headers["apns-expiration"] == "0"


def test_long_body_is_cut_to_the_limit(compose: Compose) -> None:
    message = compose(title="T", body="ß" * 5000, data={"keep": "k" * 500})
    assert LIMIT_BYTES - 1 <= len(message.body) <= LIMIT_BYTES
    assert msgspec.json.decode(message.body)["keep"] == "k" * 500
    assert message.cuts[0].startswith("body -")


def test_large_data_are_never_cut(make_notification: Callable[..., Notification], device: Device, now: datetime) -> None:
    notification = make_notification(title="T", data={"k": "v" * 4096})
    assert compose_apns(notification, device, topic="t", now=now) == TooLarge(LIMIT_BYTES)


def test_what_an_alert_may_carry_beside_its_texts(compose: Compose) -> None:
    message = compose(title="T", subtitle="S", body="B", badge=0, sound="chime", thread="orders")
    assert msgspec.json.decode(message.body)["aps"] == {
        "alert": {"title": "T", "subtitle": "S", "body": "B"},
        "sound": "chime",
        "thread-id": "orders",
        "badge": 0,
    }
    assert "sound" not in msgspec.json.decode(compose(title="T", sound="none").body)["aps"]


@pytest.mark.parametrize(
    ("push_type", "header", "topic", "by_lane"),
    [
        (PushType.ALERT, "alert", "io.example.app", ["10", "10", "10", "5"]),
        (PushType.BACKGROUND, "background", "io.example.app", ["5", "5", "5", "5"]),
        (PushType.VOIP, "voip", "io.example.app.voip", ["10", "10", "10", "5"]),
        (PushType.LIVE_ACTIVITY, "liveactivity", "io.example.app.push-type.liveactivity", ["10", "10", "5", "5"]),
    ],
)
def test_headers_by_push_type(compose: Compose, push_type: PushType, header: str, topic: str, by_lane: list[str]) -> None:
    messages = [compose(title="T", data={"event": "end"}, push_type=push_type, lane=lane).headers for lane in Lane]
    assert {(headers["apns-push-type"], headers["apns-topic"]) for headers in messages} == {(header, topic)}
    assert [headers["apns-priority"] for headers in messages] == by_lane
    has_collapse_id = push_type in (PushType.ALERT, PushType.BACKGROUND)
    assert all(("apns-collapse-id" in headers) is has_collapse_id for headers in messages)


def test_a_silent_push_shows_nothing_though_it_has_texts(compose: Compose) -> None:
    body = msgspec.json.decode(compose(title="T", push_type=PushType.BACKGROUND, data={"sync": 1}).body)
    assert body["aps"] == {"content-available": 1}
    assert body["sync"] == 1


def test_a_call_says_who_calls_and_may_be_larger(compose: Compose) -> None:
    message = compose(title="Ann", push_type=PushType.VOIP, data={"call": "k" * 4500})
    assert msgspec.json.decode(message.body)["aps"] == {"alert": {"title": "Ann"}}
    assert LIMIT_BYTES < len(message.body) < VOIP_LIMIT_BYTES
    assert msgspec.json.decode(compose(data={"call": 1}, push_type=PushType.VOIP).body)["aps"] == {}


def test_a_live_activity_reads_its_state_in_aps(compose: Compose) -> None:
    data = {"event": "update", "content-state": {"goals": 2}, "stale-date": 1767226000, "match": 7}
    body = msgspec.json.decode(compose(title="Goal", data=data, push_type=PushType.LIVE_ACTIVITY).body)
    assert body["aps"] == {
        "timestamp": 1767225600,
        "event": "update",
        "content-state": {"goals": 2},
        "stale-date": 1767226000,
        "alert": {"title": "Goal"},
    }
    assert (body["match"], "event" in body) == (7, False)


def test_tokens_of_another_kind_get_nothing(
    make_notification: Callable[..., Notification], device: Device, now: datetime
) -> None:
    outcome = compose_apns(make_notification(title="T"), device, topic="t", push_types=("voip",), now=now)
    assert outcome == DropMessage("the app takes no pushes of type alert")
