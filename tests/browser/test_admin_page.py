"""The operator's page in a real browser against a real server: live, by keyboard alone, on a phone, in the dark."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from gateway.admin.rights import OPERATES
from heliograph.development import DATA_DIRECTORY, open_development

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECTIONS = ("overview", "channels", "pipeline", "notifications/user:bob", "letters", "campaigns", "overrides", "rules", "audit")
HOSTILE = '"><img src=x onerror=document.title=1>'


class Admin:
    """A page of somebody who has logged in."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    async def open(self, section: str) -> Locator:
        await self.page.goto(f"{self.url}/admin#{section}")
        return self.page.locator(f"#panel-{section.partition('/')[0]}")


@pytest.fixture(scope="session")
def password(server: Any) -> str:
    return open_development(server.directory / DATA_DIRECTORY, environ={}).operator_password


@pytest_asyncio.fixture(loop_scope="session")
async def admin(chromium: Browser, server: Any, watch: Any, password: str) -> AsyncIterator[Admin]:
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await watch.over(page)
    await page.goto(f"{server.url}/admin")
    await page.get_by_label("Name").fill("operator")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#app")).to_be_visible()
    yield Admin(page, server.url)
    await context.close()


async def test_figures_arrive_live_and_move(admin: Admin, server: Any) -> None:
    await expect(admin.page.locator("#live")).to_have_text("Live")
    await expect(admin.page.locator("#state")).to_have_text("Ready")
    calls = admin.page.locator('[data-tile="calls"]')
    before = await calls.locator(".below").inner_text()
    server.call("info", {})
    await expect(calls.locator(".below")).not_to_have_text(before)
    await expect(calls.locator("svg")).to_have_attribute("aria-label", re.compile(r"API calls: .* now"))
    await expect(admin.page.locator('[data-tile="clients"] .figure')).to_have_text(re.compile(r"[1-9]\d*"))


async def test_a_connection_is_found_and_ended(admin: Admin, chromium: Browser, server: Any) -> None:
    other = await chromium.new_page()
    await other.goto(f"{server.url}/")
    await expect(other.locator("#alice")).to_have_attribute("data-state", "connected")
    panel = await admin.open("connections/alice")
    await expect(panel.get_by_role("heading", name=re.compile("connection", re.IGNORECASE))).to_have_count(2)
    await panel.get_by_role("button", name="Disconnect all of alice").click()
    dialog = admin.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()
    await expect(other.locator("#alice")).to_have_attribute("data-state", "connected")
    await panel.get_by_role("button", name="Disconnect all of alice").click()
    await dialog.get_by_role("button", name="Disconnect", exact=True).click()
    await expect(panel).to_contain_text("alice is not connected")
    await expect(other.locator("#alice")).to_have_attribute("data-state", "disconnected")
    await other.close()


async def test_what_failed_is_replayed_and_its_timeline_drawn_whatever_it_is_called(admin: Admin, server: Any) -> None:
    server.call("device_register", {"user": HOSTILE, "provider": "email", "token": "refused@example.com"})
    more = {"title": HOSTILE, "body": HOSTILE, "category": HOSTILE[:60], "ack_wait_s": 0, "push_wait_s": 0}
    (one,) = server.call("notify", {"user": HOSTILE, "routes": ["email"], **more})["notifications"]
    for _ in range(200):
        if server.state_of(one["id"]) == "failed":
            break
        await admin.page.wait_for_timeout(50)
    panel = await admin.open("letters")
    row = panel.get_by_role("row").filter(has_text=HOSTILE).filter(has_text="554")
    await expect(row).to_be_visible()
    await row.get_by_role("checkbox").check()
    await panel.get_by_role("button", name="Replay 1").click()
    dialog = admin.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("1: would be tried anew")
    await dialog.get_by_role("button", name="Replay").click()
    await expect(admin.page.locator("#toast")).to_have_text("1 of 1 are tried anew.")

    panel = await admin.open(f"notifications/{one['id']}")
    await expect(panel.locator(".timeline li").filter(has_text="replayed")).to_have_count(1)
    await expect(panel.locator(".timeline li").filter(has_text="refused")).not_to_have_count(0)
    await expect(panel.locator(".chart .mark")).not_to_have_count(0)
    await panel.get_by_role("button", name=HOSTILE).click()
    await expect(panel.get_by_role("row").filter(has_text=HOSTILE)).not_to_have_count(0)
    assert await admin.page.locator("#main img").count() == 0
    assert (await admin.page.title()).startswith("Notifications")


async def change_a_rate_by_keyboard(admin: Admin, server: Any) -> None:
    """Change that of a campaign, as an operator; whoever may only read finds no button for it."""
    page = admin.page
    campaign = {"name": "Spring", "audience": {"all": True}, "rate_per_s": 2.5}
    made = server.call("campaign_create", {**campaign, "notification": {"title": "Tide", "send_at": time.time() + 3600}})
    panel = await admin.open("campaigns")
    row = panel.get_by_role("row").filter(has_text="Spring")
    change = row.get_by_role("button", name="Change the rate of Spring")
    await expect(row).to_contain_text("2.5 /s")
    await change.press("Enter")
    rate = page.get_by_role("dialog").get_by_label("Users per second")
    await expect(rate).to_be_focused()
    await expect(rate).to_have_value("2.5")
    await rate.fill("1e12")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("rate_per_s: must be 0, or from 0.001 to")
    await rate.fill("0.05")
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("0.05 /s")
    await expect(change).to_be_focused()
    assert server.call("campaign_status", {"id": made["id"]})["campaign"]["rate_per_s"] == 0.05
    await change.press("Enter")
    await rate.fill("0")
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("any")

    async def tell_what_is_read(route: Route) -> None:
        methods = (await (await route.fetch()).json())["methods"]
        await route.fulfill(json={"methods": [method for method in methods if method not in OPERATES]})

    await page.route("**/admin/api/methods", tell_what_is_read)
    await page.reload()
    await expect(row).to_contain_text("any")
    await expect(row.get_by_role("button")).to_have_count(0)
    server.call("campaign_cancel", {"id": made["id"]})


async def test_every_control_of_every_section_is_reached_by_tab(admin: Admin) -> None:
    found = 0
    for section in SECTIONS:
        panel = await admin.open(section)
        await expect(panel.get_by_role("heading").first).to_be_visible()
        await expect(admin.page.locator("#live")).to_have_text("Live")
        if section not in ("overview", "rules"):  # which have figures, and what others have set, alone
            await expect(panel.locator("button, a[href], input, select").first).to_be_visible()
        left = await admin.page.evaluate(
            """() => {
                const all = document.querySelectorAll("#main :is(button, a[href], input, select, summary, [tabindex='0'])");
                window.left = new Set([...all].filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0));
                addEventListener("focusin", ({ target }) => left.delete(target));
                document.activeElement.blur();
                return left.size;
            }"""
        )
        found += left
        for _ in range(3 * left + 20):  # fields of dates are several stops
            if not left:
                break
            await admin.page.keyboard.press("Tab")
            left = await admin.page.evaluate("[...left].filter((one) => one.isConnected).length")
        assert await admin.page.evaluate("[...left].filter((one) => one.isConnected).map((one) => one.outerHTML)") == [], (
            section
        )


async def test_overrides_and_rates_are_set_by_keyboard_alone(admin: Admin, server: Any) -> None:
    page = admin.page
    await expect(page.locator("#live")).to_have_text("Live")
    await page.reload()
    await expect(page.locator("#app")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Tab")  # past Log out, to the one tab that is a stop
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("tab", name="Overview")).to_be_focused()
    await page.keyboard.press("End")
    await expect(page.get_by_role("tab", name="Audit")).to_be_focused()
    for _ in range(2):
        await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("tab", name="Overrides")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("tab", name="Overrides")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Set an override")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("What")).to_be_focused()
    for _ in range(3):
        await page.keyboard.press("Tab")
    await expect(page.get_by_role("dialog").get_by_label("Why")).to_be_focused()
    await page.keyboard.type("A test")
    await page.keyboard.press("Enter")
    panel = page.locator("#panel-overrides")
    await expect(panel.get_by_role("row").filter(has_text="Pause a lane")).to_contain_text("A test")
    await expect(page.get_by_role("button", name="Set an override")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(panel.get_by_role("button", name="Remove Pause a lane")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(panel.get_by_role("button", name="Remove Pause a lane")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Remove", exact=True).press("Enter")
    await expect(panel).to_contain_text("Everything is as the settings say.")
    await change_a_rate_by_keyboard(admin, server)


async def test_what_needs_attention_stands_above_every_section_and_leads_there(admin: Admin, server: Any) -> None:
    page, strip = admin.page, admin.page.locator("#alarms")
    for kind, target in (("pause_carrier", "sms"), ("pause_lane", "bulk")):
        server.call("override_set", {"kind": kind, "target": target, "reason": "A test", "expires_in_s": 60})
    panel = await admin.open("pipeline")
    alarm = strip.get_by_role("button", name="Carrier paused (sms) until")
    await expect(alarm).to_be_visible()
    await expect(strip.get_by_role("button", name="Lane paused (bulk) until")).to_be_visible()
    row = panel.get_by_role("region", name="Carriers").get_by_role("row").filter(has_text="sms")
    await expect(row).to_contain_text("paused")
    await expect(panel.get_by_role("region", name="Processes that deliver").get_by_role("row")).to_have_count(2)
    await alarm.press("Enter")
    await expect(page.get_by_role("tab", name="Overrides")).to_have_attribute("aria-selected", "true")
    for kind, target in (("pause_carrier", "sms"), ("pause_lane", "bulk")):
        server.call("override_remove", {"kind": kind, "target": target})
    await expect(strip.get_by_text("paused")).to_have_count(0)


async def test_rules_are_searched(admin: Admin, server: Any) -> None:
    rules = [
        {"name": name, "effect": "deny", "actions": ["publish"], "channels": [f"{name}*"], "condition": 'user == "nobody"'}
        for name in ("night", "harbour")
    ]
    server.call("policy_set", {"policy": {"rules": rules}, "comment": "A test"})
    panel = await admin.open("rules")
    table = panel.get_by_role("region", name="Rules", exact=True)
    await expect(table.get_by_role("row")).to_have_count(3)
    await panel.get_by_label("Rules with").fill("HARB")
    await panel.get_by_label("Rules with").press("Enter")
    await expect(table.get_by_role("row")).to_have_count(2)
    await expect(table).to_contain_text("harbour")
    server.call("policy_set", {"policy": {"rules": []}, "comment": "The test is over"})


async def test_can_be_read_on_a_phone_and_in_the_dark(admin: Admin, audit: str) -> None:
    page = admin.page
    await expect(page.locator("#live")).to_have_text("Live")
    looks: list[tuple[int, Literal["light", "dark"]]] = [(360, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
    for section in SECTIONS:
        panel = await admin.open(section)
        await expect(panel).to_be_visible()
        await expect(panel.locator('[aria-busy="true"]')).to_have_count(0)
        for width, scheme in looks:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (section, width)
            found = await page.evaluate(audit)
            assert found == {"faintTexts": [], "namelessControls": []}, (section, width, scheme)


async def test_nothing_stays_in_the_page_after_a_logout(admin: Admin, server: Any) -> None:
    await expect(admin.page.locator("#live")).to_have_text("Live")
    await admin.page.get_by_role("button", name="Log out").click()
    await expect(admin.page.get_by_role("heading", name="Operators")).to_be_visible()
    assert await admin.page.locator("#main > *").count() == 0
    await admin.page.reload()
    await expect(admin.page.get_by_role("heading", name="Operators")).to_be_visible()
    assert (await admin.page.request.get(f"{server.url}/admin/figures")).status == 401
