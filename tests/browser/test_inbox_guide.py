"""The bell of the guide, as it stands there, with the official client in a real browser."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, expect

pytestmark = [pytest.mark.browser, pytest.mark.sdk, pytest.mark.asyncio(loop_scope="session")]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "inbox.md"
CLIENT = ROOT / "tests" / "sdk" / "node_modules" / "centrifuge" / "dist" / "centrifuge.js"
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<button id="bell">Bell <b id="badge"></b></button><ul id="list"></ul>
<script>%(client)s</script>
<script type="module">
const url = location.origin.replace("http", "ws") + "/connection/websocket";
const getToken = async () => (await (await fetch("/dev/token", { method: "POST", body: '{"user":"guide"}' })).json()).token;
%(bell)s
</script>"""


async def test_the_bell_of_the_guide(context: BrowserContext, server: Any) -> None:
    (bell,) = re.findall(r"```js\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    client = CLIENT.read_text()
    assert context.browser is not None
    # A page of this origin, whose policy is the application's and not the server's.
    page = await (await context.browser.new_context(bypass_csp=True)).new_page()
    await page.goto(f"{server.url}/health")
    await page.set_content(PAGE % {"client": client, "bell": bell})
    await expect(page.locator("#badge")).to_have_text("")
    for title in ("One", "Two"):
        server.call("notify", {"user": "guide", "title": title, "routes": ["live"]})
    await expect(page.locator("#badge")).to_have_text("2")
    await page.locator("#bell").click()
    await expect(page.locator("#list li")).to_have_text(["Two", "One"])
    await expect(page.locator("#badge")).to_have_text("")
    assert server.call("inbox_counts", {"user": "guide"}) == {"unseen": 0, "unread": 0}
