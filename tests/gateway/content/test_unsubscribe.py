"""The pages behind links of mails: a look changes nothing, one click does it (RFC 8058, N-23)."""

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from broker.errors import StoreUnavailable
from broker.notification import Preference
from broker.preferences import is_enabled
from broker.unsubscribe import OptOut, UnsubscribeLinks
from gateway.notify.unsubscribe import unsubscribe_routes

LINKS = UnsubscribeLinks("https://x.test", b"s" * 32)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def http(desk: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=unsubscribe_routes(LINKS, desk.store.preferences))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x.test") as client:
        yield client


async def test_one_click_does_it_and_a_second_changes_nothing(http: httpx.AsyncClient, desk: Any) -> None:
    address = LINKS.address(OptOut("ann", "news", "email"))
    for _ in range(2):
        response = await http.post(address, data=ONE_CLICK)
        assert response.status_code == 200
        assert response.history == []
        assert "set-cookie" not in response.headers
        words = await desk.store.preferences.of_user("ann")
        assert list(words) == [Preference("news", "email", enabled=False)]
    assert not is_enabled(words, "news", "email")
    assert is_enabled(words, "news", "push")
    assert is_enabled(words, "orders", "email")


@pytest.mark.parametrize("body", [b"", b"anything", b"List-Unsubscribe=One-Click", b"\xff" * 100_000])
async def test_whatever_a_post_brings_it_is_done(http: httpx.AsyncClient, desk: Any, body: bytes) -> None:
    address = LINKS.address(OptOut("ann", "", "email"))
    assert (await http.post(address, content=body)).status_code == 200
    assert list(await desk.store.preferences.of_user("ann")) == [Preference("*", "email", enabled=False)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(http: httpx.AsyncClient, desk: Any, method: str) -> None:
    response = await http.request(method, LINKS.address(OptOut("ann", "news", "email")))
    assert response.status_code == 200
    assert list(await desk.store.preferences.of_user("ann")) == []


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.form: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "form":
            self.form = dict(attrs)


async def test_the_page_asks_without_scripts_and_shows_nobody_s_name(http: httpx.AsyncClient) -> None:
    response = await http.get(LINKS.address(OptOut("ann@example.org", "<script>alert(1)</script>", "email")))
    page = _Tags()
    page.feed(response.text)
    assert "script" not in page.tags
    assert page.form == {"method": "post"}
    assert "button" in page.tags
    assert "ann@example.org" not in response.text
    assert "&lt;script&gt;" in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["x", "A" * 60, LINKS.token(OptOut("ann", "news", "email"))[:-2]])
async def test_a_link_that_is_none_of_ours_does_nothing(http: httpx.AsyncClient, desk: Any, method: str, token: str) -> None:
    response = await http.request(method, f"/unsubscribe/{token}")
    assert response.status_code == 404
    assert list(await desk.store.preferences.of_user("ann")) == []


async def test_other_methods_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.delete(LINKS.address(OptOut("ann", "news", "email")))).status_code == 405


async def test_a_store_that_is_away_asks_to_come_again() -> None:
    class Away:
        async def set(self, user: str, preferences: Any) -> None:
            raise StoreUnavailable("away", retry_after_s=2.4)

    app = Starlette(routes=unsubscribe_routes(LINKS, Away()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x.test") as http:
        response = await http.post(LINKS.address(OptOut("ann", "news", "email")))
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


def test_without_settings_there_is_no_such_page(desk: Any) -> None:
    assert unsubscribe_routes(None, desk.store.preferences) == []
