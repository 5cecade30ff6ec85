"""Devices for a load test's users: one each, with the same address in every run so that devices do not pile up."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from loadtest.http_client import HttpConnection, HttpFailed
from loadtest.session import Conditions, NothingMeasured

__all__ = ["device_token", "register_devices"]

_AT_ONCE: Final = 8


async def register_devices(provider: str, users: Sequence[str], conditions: Conditions, stop: asyncio.Event) -> None:
    """Give every user one device; registering again is no change. A set `stop` ends it early.

    Raises:
        NothingMeasured: A device could not be registered.
    """
    waiting = iter(enumerate(users))

    async def keep_registering() -> None:
        connection = HttpConnection(conditions.target, conditions.api_key)
        for number, user in waiting:
            if stop.is_set():
                break
            await _register(connection, provider, number, user)
        await connection.aclose()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(keep_registering(), name="registering")
    except* NothingMeasured as group:
        raise NothingMeasured(str(group.exceptions[0])) from None


def device_token(provider: str, number: int) -> str:
    """A well-formed address of a device; browsers have none that could be made up here."""
    if provider == "email":
        return f"load-{number}@example.test"
    if provider == "apns":
        return f"{number:064x}"
    return f"load-device-{number:08d}"


async def _register(connection: HttpConnection, provider: str, number: int, user: str) -> None:
    token = await _subscription(connection, number) if provider == "webpush" else device_token(provider, number)
    try:
        status, answer = await connection.post(
            "/api/device_register", msgspec.json.encode({"user": user, "provider": provider, "token": token})
        )
    except HttpFailed as exc:
        raise NothingMeasured(f"a device could not be registered: {exc}") from exc
    if status != 200 or b'"error"' in answer:
        text = answer[:200].decode(errors="replace").strip()
        raise NothingMeasured(f"a device could not be registered: HTTP {status} {text}")


async def _subscription(connection: HttpConnection, number: int) -> msgspec.Raw:
    """Get a browser's subscription from the simulator, since only that can decrypt what goes to it: when it is asked at the end
    what came, as the browsers' work is not to be measured."""
    try:
        status, answer = await connection.post(f"/dev/webpush?name=sealed-load-{number}", b"")
    except HttpFailed as exc:
        raise NothingMeasured(f"no browser could be simulated: {exc}") from exc
    if status != 200:
        raise NothingMeasured(f"no browser could be simulated: HTTP {status} (Web Push needs a server in development mode)")
    return msgspec.Raw(answer)
