"""PROTOCOL.md §9: an application's backend that decides, fails and hangs, as clients see it."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CAPABILITY = {"channels": ["asked:c*"], "match": "wildcard", "allow": ["pub", "hst"]}
CONFIG = Path(__file__).with_name("proxied.toml")


class Backend:
    """Answers by event and by what the client sends as `data`; a hung event is answered when the session ends."""

    def __init__(self):
        self.answers = {
            ("connect", None): {"result": {"user": "from-backend"}},
            ("connect", "error"): {"error": {"code": 1000, "message": "not today"}},
            ("connect", "many"): {"error": {"code": 111, "message": "too many requests", "temporary": True}},
            ("connect", "disconnect"): {"disconnect": {"code": 4500, "reason": "go away"}},
            ("subscribe", None): {"result": {"data": {"from": "backend"}}},
            ("connect", "capable"): {"result": {"user": "capable", "caps": [CAPABILITY]}},
            ("connect", "bad caps"): {"result": {"user": "x", "caps": [{"channels": ["("], "match": "regex"}]}},
            ("connect", "newest"): {"result": {"user": "newest", "subs": {"newest:a": {"cache_recover": True}}}},
            ("subscribe", "no"): {"error": {"code": 103, "message": "permission denied"}},
            ("subscribe", "allow"): {"result": {"allow": ["pub"]}},
            ("second", None): {"result": {"data": {"from": "second"}}},
            ("rpc", None): {"result": {"data": {"from": "rpc"}}},
            ("rpc", "error"): {"error": {"code": 1000, "message": "not today"}},
        }
        self.expire_at = 0
        self.url = ""
        self.released = threading.Event()
        self.refreshed = threading.Event()

    def answer(self, event, request):
        """Give status and body."""
        wish = request.get("data")
        if wish == "hang":
            self.released.wait()
        if event == "refresh":
            self.refreshed.set()
            return 500, {}
        if wish == "expires":
            return 200, {"result": {"user": "expires", "expire_at": self.expire_at}}
        return 200, self.answers.get((event, wish), {})


@pytest.fixture(scope="module")
def backend():
    made = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = made.answer(self.path.strip("/"), request)
            data = json.dumps(body).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_arguments):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    made.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def proxied(backend, serve_config, tmp_path_factory):
    """A server that asks the backend."""
    config = tmp_path_factory.mktemp("proxied") / "proxied.toml"
    config.write_text(CONFIG.read_text().replace("BACKEND", backend.url))
    with serve_config(config) as server:
        yield server


async def test_p73_the_backend_says_who_it_is(proxied, open_peer):
    """P-73: connect proxy: user."""
    peer = await open_peer(proxied)
    result = await peer.result(connect={})
    proxied.call("publish", channel="#from-backend", data=1)
    assert result["subs"].keys() == {"#from-backend"}
    assert (await peer.publication("#from-backend"))["data"] == 1


async def test_p73_its_error_and_its_disconnect(proxied, open_peer):
    """P-73: connect proxy: error, disconnect."""
    refused, ended = await open_peer(proxied), await open_peer(proxied)
    assert await refused.error(connect={"data": "error"}) == 1000
    await ended.send({"id": 1, "connect": {"data": "disconnect"}})
    assert await ended.closed() == (4500, "go away")


async def test_p73_a_backend_that_hangs_is_100(proxied, open_peer):
    """P-73: connect proxy: timeout → 100, and nobody else waits for it."""
    hung, other = await open_peer(proxied), await open_peer(proxied)
    await hung.send({"id": 1, "connect": {"data": "hang"}})
    assert "client" in await other.result(connect={})
    reply = await hung.until(lambda message: message.get("id") == 1)
    assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True)


async def test_p73_too_many_requests(proxied, open_peer, open_stream):
    """P-73 with §7.2: its error 111 is an error, and on one-way transports 3013."""
    peer = await open_peer(proxied)
    assert await peer.error(connect={"data": "many"}) == 111
    stream = await open_stream(proxied, "uni_http_stream", {"data": "many"})
    assert await stream.to_end() == [{"disconnect": {"code": 3013, "reason": "too many requests"}}]


async def test_p74_the_backend_denies(proxied, open_peer):
    """P-74: subscribe proxy denies 103; what it grants carries its data."""
    peer = await open_peer(proxied)
    await peer.result(connect={})
    assert await peer.error(subscribe={"channel": "asked:a", "data": "no"}) == 103
    assert await peer.subscribe("asked:a") == {"data": {"from": "backend"}}


async def test_p74_a_refresh_proxy_that_is_down_prolongs(proxied, backend, open_peer, soon):
    """P-74: refresh proxy down → +60 s: asked, it fails, and the connection outlives its expiry and the grace."""
    backend.expire_at = soon(2)
    peer = await open_peer(proxied)
    result = await peer.result(connect={"data": "expires"})
    assert result.keys().isdisjoint({"expires", "ttl"})
    for _ in range(5):
        await peer.until(lambda message: message == {})  # one ping a second
    assert backend.refreshed.is_set()
    assert await peer.subscribe("asked:a")


async def test_capabilities_of_the_connect_result(proxied, open_peer):
    """§4.5 with §9: the backend gives rights in channels, which count where no backend decides."""
    peer = await open_peer(proxied)
    await peer.result(connect={"data": "capable"})
    await peer.result(publish={"channel": "asked:c1", "data": {"n": 1}})
    history = await peer.result(history={"channel": "asked:c1", "limit": 1})
    assert [entry["data"] for entry in history["publications"]] == [{"n": 1}]
    assert await peer.error(publish={"channel": "asked:d1", "data": 1}) == 103


async def test_bad_capabilities_are_100(proxied, open_peer):
    """§9: an answer that cannot be used."""
    assert await (await open_peer(proxied)).error(connect={"data": "bad caps"}) == 100


async def test_rights_that_come_with_a_subscription(proxied, open_peer):
    """§9: `allow` of the subscribe result."""
    peer = await open_peer(proxied)
    await peer.result(connect={})
    assert await peer.error(publish={"channel": "asked:e", "data": 1}) == 103
    await peer.subscribe("asked:e", data="allow")
    await peer.result(publish={"channel": "asked:e", "data": 1})
    assert await peer.error(history={"channel": "asked:e"}) == 103


async def test_a_subscription_begins_with_the_newest(proxied, open_peer):
    """§9: `cache_recover` of a subscription in the connect result."""
    for number in (1, 2):
        proxied.call("publish", channel="newest:a", data={"n": number})
    peer = await open_peer(proxied)
    result = await peer.result(connect={"data": "newest"})
    assert [entry["data"] for entry in result["subs"]["newest:a"]["publications"]] == [{"n": 2}]
    assert result["subs"]["newest:a"]["recovered"]


async def test_a_namespace_asks_the_proxy_that_it_names(proxied, open_peer):
    peer = await open_peer(proxied)
    await peer.result(connect={})
    assert await peer.subscribe("other:a") == {"data": {"from": "second"}}
    assert await peer.subscribe("asked:f") == {"data": {"from": "backend"}}
    assert await peer.result(rpc={"method": "second:x"}) == {"data": {"from": "second"}}
    assert await peer.result(rpc={"method": "plain"}) == {"data": {"from": "rpc"}}


def test_the_api_calls_the_applications_methods(proxied):
    """§8.2: the row `rpc`."""
    for method, answer in (("add", "rpc"), ("second:add", "second")):
        assert proxied.post("rpc", {"method": method}).json() == {"result": {"data": {"from": answer}}}
    errors = [
        proxied.post("rpc", body).json()["error"]
        for body in ({"method": "add", "params": "error"}, {"method": "nowhere:add"}, {"method": "notification.ack"}, {})
    ]
    assert [error["code"] for error in errors] == [1000, 104, 104, 107]


async def test_what_is_counted(proxied, open_peer):
    peer = await open_peer(proxied)
    assert await peer.error(connect={"data": "error"}) == 1000
    text = proxied.http.get(f"{proxied.url}/metrics").text
    assert 'heliograph_proxy_calls_total{event="connect",outcome="error",proxy="default"}' in text
    assert 'heliograph_proxy_call_seconds_bucket{event="connect",le="1.0",proxy="default"}' in text
    assert 'heliograph_proxy_breaker{event="subscribe",proxy="second",state="closed"} 1.0' in text
