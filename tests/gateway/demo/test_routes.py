"""The routes of development mode, asked over ASGI."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from gateway.demo.routes import DemoContext, demo_routes

ITEMS = {
    "n1": {"provider": "fcm", "address": "bob-phone-1", "title": "t", "body": "b", "notification_id": "n1", "at": 1.5},
    "n2": {"provider": "email", "address": "bob@example.com", "title": "t", "body": "b", "notification_id": "n2", "at": 2.5},
}


async def _outbox(notification_id: str | None) -> bytes:
    items = [item for key, item in ITEMS.items() if notification_id in (None, key)]
    return msgspec.json.encode({"items": items})


async def _mint_subscription(name: str) -> bytes:
    return b'{"endpoint":"https://127.0.0.1:9/w/%s","keys":{"p256dh":"p","auth":"a"}}' % name.encode()


@pytest.fixture
async def page() -> AsyncIterator[httpx.AsyncClient]:
    context = DemoContext("dev-key", lambda user: f"jwt-of-{user}", _outbox, _mint_subscription)
    transport = httpx.ASGITransport(app=Starlette(routes=demo_routes(context)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def test_the_index_is_html_under_a_strict_policy(page: httpx.AsyncClient) -> None:
    answer = await page.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    directives = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"] == "'self' ws://127.0.0.1:8000 wss://127.0.0.1:8000"
    assert directives["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("client.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("mark.svg", "image/svg+xml"),
    ],
)
async def test_files_come_with_their_type(page: httpx.AsyncClient, name: str, content_type: str) -> None:
    answer = await page.get(f"/demo/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content


@pytest.mark.parametrize(
    "path", ["/demo/", "/demo/routes.py", "/demo/..%2Froutes.py", "/demo/%2e%2e/routes.py", "/demo/a/b.js"]
)
async def test_nothing_else_can_be_fetched(page: httpx.AsyncClient, path: str) -> None:
    assert (await page.get(path)).status_code == 404


async def test_the_page_holds_no_inline_code_and_names_no_other_origin(page: httpx.AsyncClient) -> None:
    html = (await page.get("/")).text
    assert "<style" not in html
    assert " style=" not in html
    assert "<script>" not in html
    assert " on" + "click" not in html
    assert "http:" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in html


async def test_session_tells_the_key_and_is_not_kept(page: httpx.AsyncClient) -> None:
    answer = await page.get("/dev/session")
    assert answer.json() == {"api_key": "dev-key"}
    assert answer.headers["cache-control"] == "no-store"


async def test_token_is_made_for_the_user(page: httpx.AsyncClient) -> None:
    answer = await page.post("/dev/token", json={"user": "alice"})
    assert (answer.status_code, answer.json()) == (200, {"token": "jwt-of-alice"})


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "body: "),
        (b"{", "body: "),
        (b"\xff", "body: "),
        (b"{}", "`user`"),
        (b'{"user":1}', "$.user"),
        (b'{"user":"a","admin":true}', "`admin`"),
        (b'{"user":""}', "user: must have 1 to 255 characters"),
        (b'{"user":"' + b"a" * 256 + b'"}', "user: must have 1 to 255 characters"),
        (b'{"user":"' + b"a" * 5000 + b'"}', "body: must have at most 4096 bytes"),
    ],
)
async def test_a_bad_token_request_names_field_and_rule(page: httpx.AsyncClient, body: bytes, told: str) -> None:
    answer = await page.post("/dev/token", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 107
    assert told in answer.json()["error"]["message"]


async def test_outbox_tells_all_or_one_notification(page: httpx.AsyncClient) -> None:
    assert (await page.get("/dev/outbox")).json() == {"items": list(ITEMS.values())}
    assert (await page.get("/dev/outbox", params={"notification_id": "n2"})).json() == {"items": [ITEMS["n2"]]}
    assert (await page.get("/dev/outbox", params={"notification_id": "n3"})).json() == {"items": []}


async def test_webpush_hands_out_a_subscription_as_it_is(page: httpx.AsyncClient) -> None:
    answer = await page.post("/dev/webpush")
    assert (answer.status_code, answer.content) == (200, await _mint_subscription(""))
    answer = await page.post("/dev/webpush", params={"name": "phone"})
    assert (answer.status_code, answer.content) == (200, await _mint_subscription("phone"))
    answer = await page.post("/dev/webpush", params={"name": "x" * 65})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "name: must have at most 64 characters")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/"), ("GET", "/dev/token"), ("POST", "/dev/session"), ("POST", "/dev/outbox"), ("GET", "/dev/webpush")],
)
async def test_other_methods_are_refused(page: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await page.request(method, path)).status_code == 405


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example:8000", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/demo/main.js"),
        ("GET", "/dev/session"),
        ("POST", "/dev/token"),
        ("GET", "/dev/outbox"),
        ("POST", "/dev/webpush"),
    ],
)
async def test_a_foreign_host_gets_nothing(page: httpx.AsyncClient, method: str, path: str, host: str) -> None:
    answer = await page.request(method, path, headers={"Host": host}, json={"user": "alice"} if method == "POST" else None)
    assert answer.status_code == 403
    assert "dev-key" not in answer.text
    assert "jwt" not in answer.text
