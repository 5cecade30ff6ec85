"""One id behind every handle."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Notification, Provider
from pushers.payloads.handles import collapse_id, remaining_s, target_id, topic

Make = Callable[..., Notification]


def test_target_id_is_a_uuid_of_notification_and_device(
    make_notification: Make, make_device: Callable[..., Device]
) -> None:  # N-5
    notification = make_notification(title="t")
    first, second = (make_device(Provider.APNS, "aa" * 32, device_id) for device_id in ("d1", "d2"))
    parsed = uuid.UUID(target_id(notification, first))
    assert parsed.version == 5
    assert str(parsed) == target_id(notification, first)
    assert target_id(notification, first) != target_id(notification, second)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", "019b76da-a800-7000-8000-00000000000a"),
        ("order-7", "order-7"),
        ("k" * 64, "k" * 64),
        ("k" * 65, None),
        ("schlüssel", None),
        ("two\r\nlines", None),
        (" edge ", None),
    ],
)
def test_collapse_id_is_the_key_or_its_hash(make_notification: Make, key: str, expected: str | None) -> None:
    found = collapse_id(make_notification(title="t", collapse_key=key))
    assert found == expected if expected else re.fullmatch("[0-9a-f]{64}", found)


def test_topic_is_the_key_if_the_alphabet_allows(make_notification: Make) -> None:
    assert topic(make_notification(collapse_key="order-7_A")) == "order-7_A"
    assert topic(make_notification()) == "AZt22qgAcACAAAAAAAAACg"


@given(st.text(), st.text())
def test_handles_keep_to_their_alphabets_and_tell_keys_apart(make_notification: Make, first: str, second: str) -> None:
    notifications = [make_notification(collapse_key=key) for key in (first, second)]
    for notification in notifications:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic(notification))
        assert re.fullmatch(r"[\x20-\x7e]{1,64}", collapse_id(notification))
    for handle in (topic, collapse_id):
        assert (handle(notifications[0]) == handle(notifications[1])) == (first == second)


@pytest.mark.parametrize(
    ("ttl_s", "after_s", "expected"), [(3600, 0, 3600), (3600, 600.5, 2999), (60, 61, 0), (1e8, 0, 2419200)]
)
def test_remaining_time_is_counted_from_now(
    make_notification: Make, now: datetime, ttl_s: float, after_s: float, expected: int
) -> None:
    assert remaining_s(make_notification(ttl_s=ttl_s), now + timedelta(seconds=after_s)) == expected
