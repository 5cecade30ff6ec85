"""Links that tell of a click, served: recorded once, led on always (N-29)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from broker.click_links import ClickLinks
from broker.errors import NotFound
from gateway.notify.clicks import click_routes
from gateway.web_headers import SecuredApp

LINKS = ClickLinks("http://node", (b"s" * 32,))
TARGET = "https://shop.test/orders/7?a=1&b=ä b#top"


@pytest.fixture
async def http(desk: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=click_routes(LINKS, desk.store.tracking, desk.world.clock, desk.told.extend))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(SecuredApp(app)), base_url="http://node") as client:
        yield client


async def marks_of(desk: Any, id: str) -> list[str]:
    return sorted((await desk.api.result("notification_status", id=id))["notification"].get("marks", {}))


async def test_a_click_is_recorded_and_leads_on(desk: Any, http: httpx.AsyncClient) -> None:
    id = await desk.notify("42", link=TARGET)
    for _ in range(2):
        answer = await http.get(LINKS.address(id, TARGET))
        assert answer.status_code == 302
        assert answer.headers["location"] == "https://shop.test/orders/7?a=1&b=%C3%A4%20b#top"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert await desk.state(id) == "acknowledged"
    assert await marks_of(desk, id) == ["clicked", "read", "seen"]
    assert desk.told == ["42", "42", "42"]


async def test_it_is_known_which_link_was_clicked(desk: Any, http: httpx.AsyncClient) -> None:
    id = await desk.notify("42", link=TARGET)
    for link, target in ((3, "https://shop.test/terms"), (0, TARGET), (3, "https://shop.test/terms")):
        answer = await http.get(LINKS.address(id, target, link))
        assert answer.headers["location"].startswith("https://shop.test/")
    clicked = await desk.store.tracking.clicks_of(id)
    assert [(one.link, one.target, one.clicks) for one in clicked] == [(0, TARGET, 1), (3, "https://shop.test/terms", 2)]
    await desk.store.erasure.erase("42")
    with pytest.raises(NotFound):
        await desk.store.tracking.clicks_of(id)


async def test_what_only_looks_ahead_records_nothing(desk: Any, http: httpx.AsyncClient) -> None:
    id = await desk.notify("42", link=TARGET)
    address = LINKS.address(id, TARGET)
    assert (await http.head(address)).status_code == 302
    for headers in ({"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
        assert (await http.get(address, headers=headers)).status_code == 302
    assert await desk.state(id) == "pending"


async def test_what_was_removed_still_leads_on(desk: Any, http: httpx.AsyncClient) -> None:
    id = await desk.notify("42", link=TARGET)
    await desk.store.erasure.erase("42")
    assert (await http.get(LINKS.address(id, TARGET))).status_code == 302


async def test_nobody_is_held_up_by_an_outage(desk: Any, http: httpx.AsyncClient) -> None:
    id = await desk.notify("42", link=TARGET)
    await desk.store.close()
    assert (await http.get(LINKS.address(id, TARGET))).status_code == 302


@pytest.mark.parametrize("token", ["x", "A" * 60, "https%3A%2F%2Fevil.test", "%00" * 30])
async def test_it_leads_nowhere_but_where_a_sender_meant(desk: Any, http: httpx.AsyncClient, token: str) -> None:
    answer = await http.get(f"/c/{token}")
    assert answer.status_code == 404
    assert "location" not in answer.headers
