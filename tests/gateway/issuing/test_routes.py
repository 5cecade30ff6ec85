"""What clients call: JSON in a body, nothing that a browser sends along by itself, and no answer that anybody keeps."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from broker.errors import StoreUnavailable
from gateway.issuing.routes import issuing_routes
from gateway.issuing.service import TokenService

ORIGIN = "https://app.example.org"


Serve = Callable[[TokenService], httpx.AsyncClient]


@pytest.fixture
def serve() -> Serve:
    """Serve what a service answers."""

    def make(service: TokenService) -> httpx.AsyncClient:
        app = Starlette(routes=issuing_routes(service, [ORIGIN]))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node")

    return make


@pytest.fixture
async def http(issuer: Any, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(issuer.service) as client:
        yield client


async def test_a_pair_is_exchanged_for_the_next_one(http: httpx.AsyncClient, issuer: Any) -> None:
    pair = await issuer.issue()
    answer = await http.post("/auth/refresh", json={"refresh_token": pair.refresh_token})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"}
    assert (body["token_type"], body["expires_in"], body["refresh_expires_in"]) == ("Bearer", 600, 30 * 86400)
    assert issuer.verifier.connection(body["access_token"]).user == "ann"
    assert body["refresh_token"] != pair.refresh_token
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_a_logout_answers_the_same_whatever_it_was_given(http: httpx.AsyncClient, issuer: Any) -> None:
    pair = await issuer.issue()
    for token in (pair.refresh_token, pair.refresh_token, "rubbish"):
        answer = await http.post("/auth/revoke", json={"refresh_token": token})
        assert (answer.status_code, answer.json()) == (200, {})
    assert issuer.told.distrusted == [pair.family_id]


async def test_every_refusal_looks_the_same(http: httpx.AsyncClient, issuer: Any) -> None:
    used, ended, blocked = await issuer.issue(), await issuer.issue(), await issuer.issue("ben")
    await issuer.service.refresh(used.refresh_token)
    issuer.clock.move(60)
    await issuer.service.revoke(ended.refresh_token)
    await issuer.revocation.block_user("ben", until=float("inf"))
    answers = []
    for token in (used.refresh_token, ended.refresh_token, blocked.refresh_token, "rubbish", ""):
        answer = await http.post("/auth/refresh", json={"refresh_token": token})
        answers.append((answer.status_code, answer.content))
    assert set(answers) == {(401, b'{"error":{"code":101,"message":"unauthorized: log in again"}}')}


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (415, b'{"refresh_token":"x"}', "text/plain"),
        (415, b"refresh_token=x", "application/x-www-form-urlencoded"),
        (415, b'{"refresh_token":"x"}', ""),
        (400, b"", "application/json"),
        (400, b"{}", "application/json; charset=utf-8"),
        (400, b'{"refresh_token":7}', "application/json"),
        (400, b'{"refresh_token":"x","more":1}', "APPLICATION/JSON"),
        (400, b'{"refresh_token":"\xff"}', "application/json"),
        (400, b"[" * 1000, "application/json"),
        (400, b'{"refresh_token":"%s"}' % (b"x" * 257), "application/json"),
        (413, b'{"refresh_token":"%s"}' % (b"x" * 2000), "application/json"),
    ],
)
async def test_other_bodies_are_refused(http: httpx.AsyncClient, status: int, content: bytes, kind: str) -> None:
    for path in ("/auth/refresh", "/auth/revoke"):
        answer = await http.post(path, content=content, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == 107
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/auth/refresh")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


async def test_a_token_in_an_address_is_not_read(http: httpx.AsyncClient, issuer: Any) -> None:
    pair = await issuer.issue()
    answer = await http.post(f"/auth/refresh?refresh_token={pair.refresh_token}", json={})
    assert answer.status_code == 400
    cookie = {"Cookie": f"refresh_token={pair.refresh_token}"}
    assert (await http.post("/auth/refresh", json={}, headers=cookie)).status_code == 400


async def test_pages_of_allowed_origins_may_read_the_answer(http: httpx.AsyncClient, issuer: Any) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = await http.options("/auth/refresh", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    pair = await issuer.issue()
    body = {"refresh_token": pair.refresh_token}
    answer = await http.post("/auth/refresh", json=body, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_pages_of_other_origins_change_nothing(http: httpx.AsyncClient, issuer: Any) -> None:
    pair = await issuer.issue()
    for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
        for path in ("/auth/refresh", "/auth/revoke"):
            answer = await http.post(path, json={"refresh_token": pair.refresh_token}, headers={"Origin": origin})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
            assert (await http.options(path, headers={"Origin": origin})).status_code == 403
    assert issuer.told.commands == []
    [family] = await issuer.service.of_user("ann")
    assert family.generation == 1


async def test_a_store_that_is_away_is_told_of(serve: Serve, issuer: Any) -> None:
    class Away:
        async def find(self, family_id: str) -> None:
            raise StoreUnavailable("away", retry_after_s=2.4)

    pair = await issuer.issue()
    async with serve(issuer.make(families=Away())) as http:
        answer = await http.post("/auth/refresh", json={"refresh_token": pair.refresh_token})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
