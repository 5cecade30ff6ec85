"""Bodies and headers for APNs, field by field."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from broker.notification import Device, Lane, Notification, Provider
from pushers.outcome import TooLarge
from pushers.payloads.apns import LIMIT_BYTES, ApnsMessage, compose_apns

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
