"""What only development mode has beside the server: the running simulators, and what the page may ask."""

import asyncio
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from urllib.parse import quote

import msgspec

from config.errors import SettingsError
from gateway.demo.routes import DemoContext
from heliograph.development import Development
from loadtest.simulators.launch import LaunchedSimulators, LaunchFailed, launch

__all__ = ["demo_context", "start_simulators"]

_TIMEOUT_S = 10


async def start_simulators(development: Development) -> LaunchedSimulators:
    """Start the provider simulators beside this process.

    Raises:
        SettingsError: They did not start.
    """
    try:
        return await launch(development.directory / "simulators")
    except LaunchFailed as exc:
        raise SettingsError([f"simulators: {exc}"]) from None


def demo_context(control: str, api_key: str, make_token: Callable[[str], str]) -> DemoContext:
    """Put together what the page may ask; the simulators are asked over their control interface, at the address `control`."""

    async def outbox(notification_id: str | None) -> bytes:
        query = f"?notification_id={quote(notification_id)}" if notification_id else ""
        return await _ask(f"{control}/outbox{query}")

    async def mint_subscription(name: str) -> bytes:
        asked = {"name": name, "kept": True} if name else {}
        return await _ask(f"{control}/webpush/subscriptions", body=msgspec.json.encode(asked))

    return DemoContext(api_key=api_key, make_token=make_token, outbox=outbox, mint_subscription=mint_subscription)


async def _ask(url: str, body: bytes | None = None) -> bytes:
    def read() -> bytes:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (our own loopback)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            answer: bytes = response.read()
            return answer

    try:
        return await asyncio.to_thread(read)
    except (OSError, HTTPException) as exc:
        raise RuntimeError("the simulators do not answer") from exc
