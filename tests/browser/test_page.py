"""The page of development mode as a visitor meets it: in a real browser, against a real server."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AUDIT = Path(__file__).with_name("audit.js").read_text()


async def notify(page: Page, title: str) -> str:
    """Press "Notify Bob" and tell the id that the API answered."""
    await page.get_by_label("Title").fill(title)
    async with page.expect_response("**/api/notify") as answered:
        await page.get_by_role("button", name="Notify Bob").click()
    answer = await (await answered.value).json()
    return str(answer["result"]["notifications"][0]["id"])


async def say(page: Page, who: str, text: str) -> None:
    await page.get_by_label(f"{who}’s message").fill(text)
    await page.get_by_role("article", name=f"{who}’s window").get_by_role("button", name="Send").click()


def station(page: Page, name: str):
    return page.locator(f"#rail [data-station={name}]")


async def test_chat_crosses_both_ways(page: Page) -> None:
    await say(page, "Alice", "Do you see me?")
    await expect(page.get_by_role("log", name="Messages that Bob sees")).to_contain_text("Do you see me?")
    await say(page, "Bob", "Clearly.")
    await expect(page.get_by_role("log", name="Messages that Alice sees")).to_contain_text("Clearly.")
    await expect(page.locator("#alice .message[data-author=Bob]")).to_have_count(1)
    await expect(page.locator("#guide [data-step=chat]")).to_have_attribute("data-state", "done")


async def test_what_is_typed_is_never_markup(page: Page) -> None:
    await say(page, "Alice", "<img src=x onerror=alert(1)><b>bold</b>")
    await expect(page.locator("#bob .message p")).to_have_text("<img src=x onerror=alert(1)><b>bold</b>")


async def test_a_live_notification_is_shown_and_acknowledged(page: Page, server) -> None:
    id = await notify(page, "Look here")
    notice = page.get_by_role("region", name="Bob’s notifications")
    await expect(notice).to_contain_text("Look here")
    await notice.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator("#state")).to_have_attribute("data-state", "acknowledged")
    await expect(notice).to_contain_text("Seen")
    await expect(station(page, "page")).to_have_attribute("data-state", "seen")
    await expect(station(page, "mail")).to_have_attribute("data-state", "spared")
    await expect(page.locator("#guide [data-step=live]")).to_have_attribute("data-state", "done")
    assert server.state_of(id) == "acknowledged"
    assert "email" not in server.providers_of(id)


async def test_when_bob_is_away_it_travels_to_phone_and_mailbox(page: Page, server) -> None:
    await page.get_by_role("button", name="Bob leaves").click()
    await expect(page.get_by_text("Bob has closed this page.")).to_be_visible()
    id = await notify(page, "Where are you?")

    push = page.get_by_role("article", name="Bob’s phone").get_by_role("button")
    await expect(push).to_contain_text("Where are you?")
    await expect(station(page, "page")).to_have_attribute("data-state", "skipped")
    await expect(page.get_by_role("status")).to_contain_text("straight to his phone")

    mailbox = page.get_by_role("article", name="Bob’s mailbox")
    await expect(mailbox.get_by_role("heading", level=3)).to_have_text("Where are you?")
    await expect(mailbox.locator(".letter .text")).to_contain_text("The draft is ready.")
    await expect(page.locator("#state")).to_have_attribute("data-state", "exhausted")
    await expect(station(page, "phone")).to_have_attribute("data-state", "passed")
    lines = page.get_by_role("region", name="Timeline").get_by_role("listitem")
    await expect(lines).to_contain_text(["Stored", "no open page", "Firebase took it", "The mail server took it"])
    await expect(page.locator("#guide [data-step=away]")).to_have_attribute("data-state", "done")
    assert server.state_of(id) == "exhausted"
    assert server.providers_of(id) == ["fcm", "email"]


async def test_a_tap_on_the_phone_ends_it_before_the_mail(page: Page, server) -> None:
    await page.get_by_role("button", name="Bob leaves").click()
    id = await notify(page, "Tap me")
    push = page.get_by_role("article", name="Bob’s phone").get_by_role("button")
    await push.click()
    await expect(push).to_contain_text("Seen")
    await expect(station(page, "phone")).to_have_attribute("data-state", "seen")
    await expect(station(page, "mail").locator(".note")).to_have_text("never sent")
    await expect(page.get_by_role("status")).to_contain_text("never sent")
    assert server.state_of(id) == "acknowledged"
    assert server.providers_of(id) == ["fcm"]


async def test_an_unanswered_notice_goes_on_to_the_phone(page: Page) -> None:
    await notify(page, "Are you looking?")
    await expect(page.get_by_role("article", name="Bob’s phone").get_by_role("button")).to_contain_text("Are you looking?")
    await expect(station(page, "page")).to_have_attribute("data-state", "passed")
    await page.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(station(page, "page")).to_have_attribute("data-state", "seen")


async def test_back_again_bob_catches_up_on_the_chat(page: Page) -> None:
    await page.get_by_role("button", name="Bob leaves").click()
    await say(page, "Alice", "You are missing this")
    await expect(page.locator("#alice .message")).to_have_count(1)
    await page.get_by_role("button", name="Bob comes back").click()
    caught_up = page.locator("#bob .message", has_text="You are missing this")
    await expect(caught_up).to_contain_text("missed, and caught up")
    await expect(page.get_by_text("Bob has closed this page.")).to_be_hidden()


async def test_calls_from_a_terminal_are_seen_too(page: Page, server) -> None:
    server.call("publish", {"channel": "chat", "data": {"text": "from outside"}})
    for who in ("Alice", "Bob"):
        await expect(page.get_by_role("log", name=f"Messages that {who} sees")).to_contain_text("from outside")
    [sent] = server.call("notify", {"user": "bob", "title": "From outside"})["notifications"]
    await expect(page.get_by_role("region", name="Bob’s notifications")).to_contain_text("From outside")
    await page.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(page.locator("#state")).to_have_attribute("data-state", "acknowledged")
    assert server.state_of(sent["id"]) == "acknowledged"


async def test_the_drawer_shows_the_very_calls(page: Page, server) -> None:
    drawer = page.get_by_role("complementary", name="The calls behind this page")
    handle = drawer.get_by_role("button", name="For the curious")
    await expect(drawer.get_by_role("heading", name="HTTP API")).to_be_hidden()
    await handle.focus()
    await page.keyboard.press("Enter")
    await expect(handle).to_have_attribute("aria-expanded", "true")
    recipe = drawer.locator("#recipes li", has_text="Notify Bob")
    await expect(recipe).to_contain_text(f"X-API-Key: {server.api_key}")
    await expect(recipe).to_contain_text(f"{server.url}/api/notify")
    await expect(drawer.locator("#frames [data-way=out][data-who=Bob]")).to_contain_text(['"connect"'])
    await expect(drawer.locator("#frames [data-way=in][data-who=Alice]").last).to_contain_text('"client"')
    tokens = await drawer.locator("#frames").evaluate('(list) => list.textContent.match(/"token":"[^"]*"/g)')
    assert tokens
    assert all(len(token) < 24 for token in tokens)
    await page.keyboard.press("Escape")
    await expect(handle).to_have_attribute("aria-expanded", "false")


async def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    await page.get_by_label("Alice’s message").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#bob .message")).to_have_count(1)
    for expected in ("Send", "Title", "Text", "Notify Bob"):
        await page.keyboard.press("Tab")
        name = await page.evaluate("() => (document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()")
        assert name == expected
    await page.keyboard.press("Enter")
    await expect(page.locator("#notices .notice")).to_have_count(1)
    await page.locator("#bob-door").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(station(page, "page")).to_have_attribute("data-state", "seen")


async def test_the_guide_makes_the_next_control_glow(page: Page) -> None:
    glowing = page.locator("[data-next]")
    await expect(glowing).to_have_text("Send")
    await glowing.click()
    await expect(glowing).to_have_text("Notify Bob")
    await glowing.click()
    await expect(glowing).to_have_text("Acknowledge")
    await glowing.click()
    await expect(glowing).to_have_text("Bob leaves")
    await glowing.click()
    await expect(glowing).to_have_text("Notify Bob")


async def test_a_second_tab_has_users_of_its_own(page: Page, context: BrowserContext, server, watch) -> None:
    second = await context.new_page()
    await watch.over(second)
    await second.goto(f"{server.url}/")
    await expect(second.locator("#recipes")).to_contain_text('"user":"bob-2"')
    await say(second, "Alice", "only here")
    await expect(second.locator("#bob .message")).to_have_count(1)
    await say(page, "Alice", "only there")
    await expect(page.locator("#bob .message")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
async def test_it_fits_and_can_be_read(chromium: Browser, server, watch, width: int, scheme: str) -> None:
    context = await chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    page = await context.new_page()
    await watch.over(page)
    await page.goto(f"{server.url}/")
    await expect(page.locator("#bob")).to_have_attribute("data-state", "connected")
    await say(page, "Alice", "Hello")
    await expect(page.locator("#bob .message")).to_have_count(1)
    await notify(page, "Readable?")
    await expect(page.locator("#notices .notice")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(AUDIT) == {"faintTexts": [], "namelessControls": []}
    assert await page.evaluate("document.getAnimations().filter((a) => a.effect.getComputedTiming().duration > 1).length") == 0


async def test_the_audit_sees_what_is_wrong(page: Page) -> None:
    await page.evaluate("document.querySelector('#sentence').style.color = '#b9b9b9'")
    await page.evaluate("document.querySelector('#notify').append(document.createElement('button'))")
    found = await page.evaluate(AUDIT)
    assert [text.partition(": ")[2] for text in found["faintTexts"]] == [await page.locator("#sentence").inner_text()]
    assert found["namelessControls"] == ["<button></button>"]


async def test_the_policy_stops_what_does_not_belong(context: BrowserContext, server) -> None:
    page = await context.new_page()
    await page.goto(f"{server.url}/")
    blocked = await page.evaluate(
        """async () => {
            const seen = [];
            document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
            document.body.setAttribute("style", "opacity: 0.5");
            document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
            await fetch("http://127.0.0.1:9/").catch(() => {});
            document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/pixel" }));
            while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve));
            return [...seen.sort(), String(window.ran)];
        }"""
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem", "style-src-attr", "undefined"]
