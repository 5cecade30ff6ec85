"""Every route of a process with everything switched on: each answer that a browser could show says what it may do."""

import base64
import hashlib
import json
import re
import socket
from contextlib import AsyncExitStack

import httpx
import pytest

from broker.present_overrides import PresentOverrides
from config.clock import SystemClock
from config.settings import Settings
from gateway.demo.routes import DemoContext, demo_routes
from heliograph.gateway import GatewayPart
from heliograph.ground import Ground
from heliograph.parts import make_engine, open_durable_store

KEY = "key-of-the-tests-0123456789"
STRICT = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
SECRET = "a secret that is longer than thirty-two bytes"
ON = {"enabled": True}
LINKS = {"public_url": "https://notify.example", "secret": SECRET}


def settings_with_everything(tmp_path):
    return Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{tmp_path}/store.db"},
            "http_api": {"keys": [KEY]},
            "client": {"token": {"hmac_secret_key": SECRET, "issue": {"enabled": True, "signing_key": SECRET}}},
            "health": ON,
            "prometheus": ON,
            **dict.fromkeys(("sse", "http_stream", "uni_sse", "uni_http_stream", "uni_websocket"), ON),
            "notifications": {"unsubscribe": LINKS, "clicks": {**ON, **LINKS}, "opens": {**ON, **LINKS}},
        }
    )


async def nothing(*_args):
    return b"{}"


@pytest.fixture
async def app(tmp_path):
    """The application of a process that serves everything, development pages included."""
    settings = settings_with_everything(tmp_path)
    async with AsyncExitStack() as resources:
        clock = SystemClock()
        store = await open_durable_store(settings, clock)
        resources.push_async_callback(store.close)
        engine = make_engine(settings, clock)
        resources.push_async_callback(engine.close)
        ground = Ground(settings, clock, engine, store, "process", resources, PresentOverrides(store.overrides, clock))
        pages = demo_routes(DemoContext(KEY, lambda _user: "token", nothing, nothing))
        with socket.socket() as listener:
            yield GatewayPart(ground, listener, pages).app


def is_safe_policy(policy):
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'", policy
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'", policy
    assert directives["form-action"] in ("'none'", "'self'"), policy
    assert not re.search(r"unsafe|\*|https?:", policy), policy
    return True


def paths_of(app):
    """Every path there is, with something in the place of what varies."""
    paths = [re.sub(r"{name}", "index.html", route.path) for route in app.routes]
    return sorted({re.sub(r"{\w+(:\w+)?}", "something", path) for path in paths})


async def test_every_answer_is_secured(app):
    paths = paths_of(app)
    for known in ("/", "/api/docs", "/api/openapi.json", "/auth/refresh", "/health/ready", "/metrics", "/emulation"):
        assert known in paths
    assert sum(path.endswith("/something") for path in paths) >= 3  # unsubscribe, click, open
    seen = set()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        for path in [*paths, "/nothing/at/all", "/demo/nothing"]:
            if path.startswith("/connection/"):
                continue  # streams: no browser shows them
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
                answer = await http.request(method, path)
                headers = answer.headers
                for name, value in STRICT.items():
                    assert headers.get(name) == value, (method, path, answer.status_code, name)
                assert is_safe_policy(headers["content-security-policy"]), (method, path)
                assert headers["cross-origin-resource-policy"] in ("same-origin", "cross-origin")
                assert "cache-control" in headers
                assert "server" not in headers
                seen.add(headers.get("content-type", "").partition(";")[0])
    assert {"text/html", "application/json", "text/plain", "image/gif", "text/css", "text/javascript"} <= seen


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/api/nothing", {}, b"{}", 404),
        ("/api/info", {}, b"{}", 401),
        ("/api/info", {"X-API-Key": KEY}, b"nonsense", 400),
        ("/api/history", {"X-API-Key": KEY}, json.dumps({"channel": "a"}).encode(), 200),
    ],
)
async def test_answers_of_the_api_are_neither_guessed_nor_kept(app, path, headers, body, status):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as http:
        answer = await http.post(path, content=body, headers=headers)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_only_the_picture_and_the_description_may_be_embedded_elsewhere(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as http:
        embedded = set()
        for path in paths_of(app):
            if not path.startswith("/connection/"):
                answer = await http.get(path)
                if answer.headers["cross-origin-resource-policy"] == "cross-origin":
                    embedded.add(answer.headers["content-type"])
        assert embedded == {"image/gif", "application/json"}


async def test_the_style_of_the_unsubscribe_page_is_the_one_that_the_policy_names(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as http:
        for path in paths_of(app):
            if path.startswith("/connection/"):
                continue
            answer = await http.get(path)
            if styles := re.findall(r"<style>(.*?)</style>", answer.text, re.S):
                digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
                assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
                return
    raise AssertionError("no page has a style of its own")
