"""Factories for notifications and devices."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from broker.notification import Content, Device, Lane, Notification, Provider, Route

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def make_notification() -> Callable[..., Notification]:
    def make(*, lane: Lane = Lane.NORMAL, ttl_s: float = 3600, data: Any = None, **content: Any) -> Notification:
        raw = msgspec.Raw() if data is None else msgspec.Raw(msgspec.json.encode(data))
        return Notification(
            id="019b76da-a800-7000-8000-00000000000a",
            user="42",
            content=Content(data=raw, **content),
            lane=lane,
            routes=(Route.PUSH,),
            ack_wait_s=5,
            push_wait_s=30,
            created_at=NOW,
            expires_at=NOW + timedelta(seconds=ttl_s),
        )

    return make


@pytest.fixture(scope="session")
def make_device() -> Callable[..., Device]:
    def make(provider: Provider, token: str, device_id: str = "device-1") -> Device:
        return Device(device_id, "42", provider, token, "any", NOW)

    return make
