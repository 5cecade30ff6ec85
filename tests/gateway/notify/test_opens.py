"""The picture that tells that a mail was shown: always the same answer, and recorded only what looks like a reader (N-29)."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from broker.ledger import PlanDone
from broker.notification import Entry, Lane, Outcome
from broker.open_links import OpenLinks
from config.click_settings import OpenSettings
from gateway.notify.opens import open_routes

LINKS = OpenLinks("http://node", (b"s" * 32,))
READER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.2.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
APPLE = "Mozilla/5.0"


@pytest.fixture
async def serving(desk: Any) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    clients: list[httpx.AsyncClient] = []

    def serve(**changes: Any) -> httpx.AsyncClient:
        settings = OpenSettings.model_validate(changes)
        app = Starlette(routes=open_routes(LINKS, desk.store.tracking, settings, desk.world.clock, desk.told.extend))
        transport = httpx.ASGITransport(app)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://node", headers={"User-Agent": READER}))
        return clients[-1]

    yield serve
    for client in clients:
        await client.aclose()


@pytest.fixture
def http(serving: Callable[..., httpx.AsyncClient]) -> httpx.AsyncClient:
    return serving()


@pytest.fixture
def mailed(desk: Any) -> Callable[..., Any]:
    """Notify a user, and have a relay take the mail."""

    async def run() -> str:
        id = await desk.notify("42")
        clock, ledger = desk.world.clock, desk.store.ledger
        steps = await ledger.claim("w", dict.fromkeys(Lane, 10), lease_until=clock.now() + timedelta(seconds=30))
        entry = Entry("email", Outcome.ACCEPTED, clock.now(), "email", "", "mailbox")
        await ledger.record([PlanDone(step, (entry,), next_plan_at=clock.now() + timedelta(days=1)) for step in steps], [])
        return id

    return run


async def marks_of(desk: Any, id: str) -> list[str]:
    return sorted((await desk.api.result("notification_status", id=id))["notification"].get("marks", {}))


async def test_a_mail_that_is_shown_says_so_and_ends_nothing(desk: Any, http: httpx.AsyncClient, mailed: Any) -> None:
    id = await mailed()
    desk.told.clear()
    for _ in range(2):
        answer = await http.get(LINKS.address(id))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.headers["cache-control"] == "no-store, private"
        assert answer.content.startswith(b"GIF89a")
        assert len(answer.content) < 50
    assert await marks_of(desk, id) == ["opened"]
    assert await desk.state(id) == "pending", "the next route is still tried"
    assert (await desk.store.inbox.counts(["42"]))[0].unseen == 1
    assert desk.told == []


async def test_it_can_count_as_seen(desk: Any, serving: Any, mailed: Any) -> None:
    id = await mailed()
    desk.told.clear()
    await serving(counts_as_seen=True).get(LINKS.address(id))
    assert await marks_of(desk, id) == ["opened", "seen"]
    assert await desk.state(id) == "acknowledged"
    assert desk.told == ["42"]
    assert desk.store.ledger.is_ended(id)


async def test_nobody_learns_whether_an_address_is_one_of_ours(desk: Any, http: httpx.AsyncClient, mailed: Any) -> None:
    id = await mailed()
    right = LINKS.address(id)
    answers = [await http.get(right)]
    forged = OpenLinks("http://node", (b"t" * 32,)).address(id)
    answers += [await http.get(wrong) for wrong in (right[:-3] + "AAA", right + "A", "/o/x", "/o/%00%00", forged)]
    await desk.store.erasure.erase("42")
    answers.append(await http.get(right))
    await desk.store.close()
    answers.append(await http.get(right))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Purpose": "preview"},
        {"User-Agent": ""},
        {"User-Agent": APPLE},
        {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
        {"User-Agent": "BarracudaCentral scanner"},
        {"User-Agent": "python-requests/2.32"},
        {"User-Agent": "curl/8.15.0"},
    ],
)
async def test_what_no_person_looks_through_records_nothing(
    desk: Any, http: httpx.AsyncClient, mailed: Any, headers: dict[str, str]
) -> None:
    id = await mailed()
    assert (await http.get(LINKS.address(id), headers=headers)).status_code == 200
    head = await http.head(LINKS.address(id))
    assert (head.status_code, head.content) == (200, b"")
    assert await marks_of(desk, id) == []


async def test_proxies_of_mail_services_count_once_a_reader_may_have_looked(
    desk: Any, http: httpx.AsyncClient, mailed: Any
) -> None:
    id = await mailed()
    untold = await desk.notify("43")
    for _ in range(2):
        assert await marks_of(desk, id) == []
        await http.get(LINKS.address(id), headers={"User-Agent": GMAIL})
        desk.world.clock.move(5)
    await http.get(LINKS.address(untold), headers={"User-Agent": GMAIL})
    assert await marks_of(desk, untold) == [], "no relay has it yet"
    assert await marks_of(desk, id) == []
    await http.get(LINKS.address(id), headers={"User-Agent": GMAIL})
    assert await marks_of(desk, id) == ["opened"]


async def test_a_phone_is_no_robot(desk: Any, http: httpx.AsyncClient, mailed: Any) -> None:
    id = await mailed()
    agent = "Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36"
    await http.get(LINKS.address(id), headers={"User-Agent": agent})
    assert await marks_of(desk, id) == ["opened"]
