"""What webhooks are told."""

from collections.abc import Callable

import msgspec
import pytest

from broker.notification import Device, Lane, Notification, Provider
from pushers.payloads.handles import target_id
from pushers.payloads.sms import SmsText
from pushers.payloads.webhook import compose_hook, compose_hooked_sms

ID = "019b76da-a800-7000-8000-00000000000a"


@pytest.fixture
def device(make_device: Callable[..., Device]) -> Device:
    return make_device(Provider.WEBHOOK, "https://hooks.example.org/T1")


def test_everything_that_is_said(make_notification: Callable[..., Notification], device: Device) -> None:
    notification = make_notification(
        title="T", body="B", data={"big": 12345678901234567890}, link="https://s.example/7", category="c", lane=Lane.CRITICAL
    )
    body = compose_hook(notification, device)
    assert b'"data":{"big":12345678901234567890}' in body
    assert msgspec.json.decode(body) == {
        "id": ID,
        "delivery_id": target_id(notification, device),
        "user": "42",
        "to": "https://hooks.example.org/T1",
        "priority": "critical",
        "created_at": 1767225600.0,
        "expires_at": 1767229200,
        "title": "T",
        "body": "B",
        "link": "https://s.example/7",
        "category": "c",
        "data": {"big": 12345678901234567890},
    }


def test_what_is_empty_is_left_out(make_notification: Callable[..., Notification], device: Device) -> None:
    told = msgspec.json.decode(compose_hook(make_notification(title="T"), device))
    assert not told.keys() & {"body", "data", "link", "image", "category", "collapse_key"}


def test_text_message_for_a_gateway_of_ones_own(
    make_notification: Callable[..., Notification], make_device: Callable[..., Device]
) -> None:
    phone = make_device(Provider.SMS, "+15005550006")
    told = msgspec.json.decode(compose_hooked_sms(make_notification(title="T"), phone, SmsText("T", "gsm7", 1)))
    assert (told["id"], told["to"], told["text"], told["alphabet"], told["parts"]) == (ID, "+15005550006", "T", "gsm7", 1)
