"""Bob's bell and his browser's own notifications, in a real browser against a real server."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Worker, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """Somebody who allows notifications."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900}, permissions=["notifications"])
    yield context
    await context.close()


@pytest.fixture(autouse=True)
def empty_inbox(server: Any) -> None:
    server.call("inbox_mark", {"user": "bob", "all": True, "as": "archived"})


@pytest.fixture(autouse=True)
def forgotten_browsers(server: Any) -> Iterator[None]:
    """Leave no browser among bob's devices: other files' tests share the server."""
    yield
    for device in server.call("device_list", {"user": "bob"})["items"]:
        if device["provider"] == "webpush":
            server.call("device_remove", {"user": "bob", "id": device["id"]})


def notify(server: Any, title: str, **more: Any) -> str:
    (one,) = server.call("notify", {"user": "bob", "title": title, "body": "Look", **more})["notifications"]
    return str(one["id"])


def marks_of(server: Any, id: str) -> list[str]:
    return sorted(server.call("notification_status", {"id": id})["notification"].get("marks", {}))


def bell(page: Page) -> Any:
    return page.locator("#bell")


async def test_the_bell_counts_lists_and_marks(page: Page, server: Any) -> None:
    badge, items = page.locator("#bell-badge"), page.locator("#inbox-items li")
    await expect(badge).to_be_hidden()
    first, second = notify(server, "One"), notify(server, "Two", ack_wait_s=60)
    await expect(badge).to_have_text("2")
    await expect(bell(page)).to_have_accessible_name("Inbox, 2 unread")
    await bell(page).click()
    await expect(items).to_have_count(2)
    await expect(items.first).to_contain_text("Two")
    await expect(page.locator("#notices [data-id]").first).to_be_attached()
    await items.first.get_by_role("button").click()
    await expect(badge).to_have_text("1")
    await expect(items.first.get_by_role("button")).to_be_focused()
    await expect(items.first).to_contain_text("read")
    assert marks_of(server, second) == ["read", "seen"]
    assert marks_of(server, first) == ["seen"]  # by opening the bell
    assert server.state_of(second) == "acknowledged"
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(badge).to_be_hidden()
    await expect(page.locator("#inbox-items [data-read]")).to_have_count(2)
    await page.keyboard.press("Escape")
    await expect(page.locator("#inbox")).to_be_hidden()
    await expect(bell(page)).to_be_focused()


async def test_what_comes_while_bob_is_away_is_in_his_inbox(page: Page, server: Any) -> None:
    await page.get_by_role("button", name="Bob leaves").click()
    notify(server, "Missed", routes=["live"])
    await page.get_by_role("button", name="Bob comes back").click()
    await expect(page.locator("#bell-badge")).to_have_text("1")
    await bell(page).click()
    await expect(page.locator("#inbox-items")).to_contain_text("Missed")


async def enable_push(page: Page, context: BrowserContext) -> Worker:
    await bell(page).click()
    async with context.expect_event("serviceworker") as started:
        await page.get_by_role("button", name="Notify this browser too").click()
    await expect(page.locator("#push-note")).to_contain_text("On:")
    await bell(page).click()
    return await started.value


async def shown(worker: Worker) -> list[str]:
    titles: list[str] = await worker.evaluate("registration.getNotifications().then((all) => all.map(({ title }) => title))")
    return titles


async def settled(page: Page, server: Any, id: str, state: str) -> None:
    while server.state_of(id) != state:
        await page.wait_for_timeout(50)


async def test_a_push_is_shown_by_the_worker_and_acknowledged(page: Page, context: BrowserContext, server: Any) -> None:
    worker = await enable_push(page, context)
    await page.get_by_role("button", name="Bob leaves").click()
    await page.get_by_label("Title").fill("From far away")
    async with page.expect_response("**/api/notify") as answered:
        await page.get_by_role("button", name="Notify Bob").click()
    id = (await (await answered.value).json())["result"]["notifications"][0]["id"]
    await settled(page, server, id, "acknowledged")
    assert await shown(worker) == ["From far away"]
    assert "email" not in server.providers_of(id)


@pytest.mark.parametrize(("event", "mark"), [("notificationclick", "clicked"), ("notificationclose", "dismissed")])
async def test_a_real_push_message_and_what_is_done_with_it(
    page: Page, context: BrowserContext, server: Any, event: str, mark: str
) -> None:
    worker = await enable_push(page, context)
    id = notify(server, "Pushed", routes=["push"], push_wait_s=60)
    session = await context.new_cdp_session(page)
    found: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda told: found.extend(one["registrationId"] for one in told["registrations"] if not one["isDeleted"]),
    )
    await session.send("ServiceWorker.enable")
    while not found:
        await page.wait_for_timeout(20)
    data = f'{{"title":"Pushed","options":{{"tag":"{id}","data":{{"hg_id":"{id}"}}}}}}'
    message = {"origin": server.url, "registrationId": found[-1], "data": data}
    await session.send("ServiceWorker.deliverPushMessage", message)
    await settled(page, server, id, "acknowledged")
    assert await shown(worker) == ["Pushed"]
    await worker.evaluate(
        """async (event) => {
            const [notification] = await registration.getNotifications();
            dispatchEvent(new NotificationEvent(event, { notification }));
        }""",
        event,
    )
    while mark not in marks_of(server, id):
        await page.wait_for_timeout(50)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_open_inbox_can_be_read(chromium: Browser, server: Any, watch: Any, scheme: str, audit: str) -> None:
    context = await chromium.new_context(viewport={"width": 360, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    page = await context.new_page()
    await watch.over(page)
    await page.goto(f"{server.url}/")
    await expect(page.locator("#bob")).to_have_attribute("data-state", "connected")
    notify(server, "Readable?")
    await expect(page.locator("#bell-badge")).to_have_text("1")
    await bell(page).click()
    await expect(page.locator("#inbox-items li")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert await page.evaluate(audit) == {"faintTexts": [], "namelessControls": []}
    await context.close()
