"""The page of the API as somebody reads it: in a real browser, against a real server, with nothing from elsewhere."""

import asyncio
import shlex
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AUDIT = Path(__file__).with_name("audit.js").read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def docs(context: BrowserContext, server, watch) -> Page:
    page = await context.new_page()
    await watch.over(page)
    await page.goto(f"{server.url}/api/docs")
    await expect(page.locator("body")).to_have_attribute("data-state", "ready")
    return page


async def test_every_method_is_listed_and_described(docs: Page) -> None:
    paths = await docs.evaluate("fetch('openapi.json').then((answer) => answer.json()).then((api) => Object.keys(api.paths))")
    shown = await docs.locator("article h3").all_inner_texts()
    assert sorted(text.removeprefix("POST ") for text in shown) == sorted(paths)
    assert await docs.locator("nav a").count() == len(paths)


async def test_fields_are_named_with_those_inside_them(docs: Page) -> None:
    history = docs.locator("#history")
    await expect(history.get_by_role("row", name="since.offset")).to_contain_text("whole number")
    await expect(history.get_by_role("row", name="channel required")).to_contain_text("text")
    await expect(history.get_by_role("row", name="publications[].data")).to_contain_text("any JSON")
    await expect(docs.locator("#connections")).to_contain_text("connections.*.state.connection_token.issued_at")


async def test_a_search_leaves_what_it_names(docs: Page) -> None:
    await docs.get_by_label("Find a method").fill("topic me")
    await expect(docs.locator("article:visible")).to_have_count(1)
    await expect(docs.locator("nav a:visible")).to_have_text(["topic_members"])
    await docs.get_by_label("Find a method").fill("no such thing")
    await expect(docs.get_by_text("No method is called like that.")).to_be_visible()
    await docs.get_by_label("Find a method").fill("")
    assert await docs.locator("article:visible").count() > 20


async def test_the_call_that_is_copied_works_in_a_shell(docs: Page, server) -> None:
    await docs.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await docs.get_by_role("article").filter(has_text="/api/info").get_by_role("button", name="Copy").click()
    await expect(docs.get_by_role("status")).to_have_text("Copied")
    command = await docs.evaluate("navigator.clipboard.readText()")
    assert command == await docs.locator("#info pre").first.inner_text()
    script = f"HELIOGRAPH_KEY={shlex.quote(server.api_key)}; {command} --silent"
    process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert b'"nodes":[{' in output


async def test_a_link_leads_to_its_method(context: BrowserContext, server) -> None:
    page = await context.new_page()
    await page.goto(f"{server.url}/api/docs#revoke_token")
    await expect(page.locator("#revoke_token")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_it_fits_and_reads_well(docs: Page, scheme, width) -> None:
    await docs.emulate_media(color_scheme=scheme)
    await docs.set_viewport_size({"width": width, "height": 900})
    assert await docs.evaluate("document.documentElement.scrollWidth") <= width
    assert await docs.evaluate(AUDIT) == {"faintTexts": [], "namelessControls": []}
