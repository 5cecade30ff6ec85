"""A development server of its own, a real Chromium, and a page that is watched for whatever should not happen."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

READY_TIMEOUT_S: Final = 30
# The journey of a notification takes seven seconds by its own waits; on a busy machine each step may come later.
expect.set_options(timeout=25_000)


@dataclass(frozen=True)
class Server:
    """A started `heliograph serve --dev`."""

    url: str
    api_key: str
    directory: Path

    def call(self, method: str, body: Mapping[str, Any]) -> Any:
        answer = httpx.post(f"{self.url}/api/{method}", json=body, headers={"X-API-Key": self.api_key})
        return answer.raise_for_status().json()["result"]

    def state_of(self, notification_id: str) -> str:
        return str(self.call("notification_status", {"id": notification_id})["notification"]["state"])

    def providers_of(self, notification_id: str) -> list[str]:
        answer = httpx.get(f"{self.url}/dev/outbox", params={"notification_id": notification_id})
        return [item["provider"] for item in answer.raise_for_status().json()["items"]]


@dataclass
class Watch:
    """What a page did that it should not."""

    origin: str
    complaints: list[str] = field(default_factory=list)

    async def over(self, page: Page) -> None:
        page.on("console", lambda message: message.type in ("error", "warning") and self.note(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.note(f"error: {error}"))
        page.on("request", lambda request: self.check_origin(request.url))
        page.on("websocket", lambda socket: self.check_origin(socket.url))
        await page.expose_function("noteViolation", self.note)
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) => noteViolation(`policy: ${e.violatedDirective}`))"
        )

    def note(self, complaint: str) -> None:
        self.complaints.append(complaint)

    def check_origin(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", f"{self.origin.replace('http', 'ws')}/")):
            self.note(f"off-origin: {url}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [str(Path(sys.executable).with_name("heliograph")), "serve", "--dev", "--port", "0"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    directory = tmp_path_factory.mktemp("development")
    with (directory / "errors").open("w+") as errors:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            # The key is printed no later than the port answers, and behind the address that it found free; the end of the
            # output means that the server is gone.
            url = next((line.split()[-1].rstrip("/") for line in process.stdout if line.startswith("Open ")), None)
            key = next((line.split()[-1] for line in process.stdout if line.startswith("API key: ")), None)
            assert url is not None and key is not None, (directory / "errors").read_text()
            _wait_for(url)
            yield Server(url, key, directory)
        finally:
            process.terminate()
            process.communicate(timeout=READY_TIMEOUT_S)


def _wait_for(url: str) -> None:
    transport = httpx.HTTPTransport(retries=8)  # each retry waits longer; together well within the timeout
    with httpx.Client(transport=transport, timeout=READY_TIMEOUT_S) as client:
        client.get(f"{url}/").raise_for_status()


@pytest.fixture
def audit() -> str:
    """A script that looks for texts that are too faint and controls without a name."""
    return Path(__file__).with_name("audit.js").read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser) -> BrowserContext:
    return await chromium.new_context(viewport={"width": 1280, "height": 900})


@pytest_asyncio.fixture(loop_scope="session")
async def watch(server: Server) -> AsyncIterator[Watch]:
    watch = Watch(server.url)
    yield watch
    assert watch.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, server: Server, watch: Watch) -> Page:
    page = await context.new_page()
    await watch.over(page)
    await page.goto(f"{server.url}/")
    await expect(page.locator("#gateway")).to_have_attribute("data-state", "connected")
    await expect(page.locator("#bob")).to_have_attribute("data-state", "connected")
    return page
