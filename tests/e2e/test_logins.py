"""One node through a kill: whom it believes, and whom it no longer does."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ISSUER = "https://login.example.org/"


class Publisher:
    """An issuer: keys by their name, published over HTTP as long as `is_up`."""

    def __init__(self) -> None:
        self.keys: dict[str, ed25519.Ed25519PrivateKey] = {}
        self.is_up, self.fetches = True, 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.fetches += 1
                self.send_response(200 if publisher.is_up else 500)
                self.end_headers()
                self.wfile.write(publisher.document())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def document(self) -> bytes:
        def octets(key: ed25519.Ed25519PrivateKey) -> str:
            return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()

        keys = [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": octets(key)} for kid, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def token(self, user: str, kid: str) -> str:
        key = self.keys.setdefault(kid, ed25519.Ed25519PrivateKey.generate())
        return jwt.encode({"sub": user, "iss": ISSUER}, key, "EdDSA", headers={"kid": kid})


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    found = Publisher()
    found.token("nobody", "k1")
    yield found
    found.server.shutdown()
    found.server.server_close()


async def verdict(node: Any, token: str) -> int:
    """Try to come in: the code of the error or of the close frame; 0 for whoever is let in."""
    async with connect(node.ws_url) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        try:
            return int(json.loads(await socket.recv()).get("error", {}).get("code", 0))
        except ConnectionClosed:
            return int(socket.close_code or 0)


def auth(node: Any, path: str, token: str) -> Any:
    return node.client.post(f"{node.url}/auth/{path}", json={"refresh_token": token})


def metric(node: Any, name: str) -> list[str]:
    lines = node.client.get(f"{node.url}/metrics").text.splitlines()
    return [line for line in lines if line.startswith(f"{name}{{")]


@pytest.mark.slow
async def test_whom_it_believes_and_whom_not_holds_through_a_kill(
    start_server: Any, tmp_path: Path, wire: Any, publisher: Publisher
) -> None:
    config = tmp_path / "logins.toml"
    text = Path(__file__).with_name("logins.toml").read_text()
    config.write_text(text.replace("@PORT@", str(publisher.server.server_address[1])))

    def start() -> Any:
        return start_server("--config", str(config), api_key="logins-api-key")

    node = start()
    kept, lost, reused = (node.call("token_issue", user="ann") for _ in range(3))
    open_ones = {name: await wire(node, token=pair["access_token"]) for name, pair in (("kept", kept), ("lost", lost))}
    published = await wire(node, token=publisher.token("cem", "k1"))

    assert auth(node, "revoke", lost["refresh_token"]).status_code == 200
    assert await open_ones["lost"].closed() == 3014
    assert auth(node, "refresh", reused["refresh_token"]).status_code == 200
    assert auth(node, "refresh", reused["refresh_token"]).status_code == 401
    node.call("block_user", user="ben")
    node.call("invalidate_user_tokens", user="cem")
    assert await published.closed() == 3014
    assert "history" in await open_ones["kept"].ask(history={"channel": "news"})

    node.kill()
    node = start()
    assert await verdict(node, kept["access_token"]) == 0
    for pair in (lost, reused):
        assert await verdict(node, pair["access_token"]) == 109
        assert auth(node, "refresh", pair["refresh_token"]).status_code == 401
    assert await verdict(node, node.call("token_issue", user="ben")["access_token"]) == 3507
    assert await verdict(node, publisher.token("cem", "k1")) == 109
    again = auth(node, "refresh", kept["refresh_token"]).json()
    assert await verdict(node, again["access_token"]) == 0

    # The issuer is down: its keys go on; whether a key that nobody knows yet is one of its own cannot be said.
    assert await verdict(node, publisher.token("dan", "k1")) == 0
    publisher.is_up = False
    assert await verdict(node, publisher.token("dan", "k2")) == 100
    assert await verdict(node, publisher.token("dan", "k1")) == 0
    assert metric(node, "heliograph_issuer_keys") == ['heliograph_issuer_keys{issuer="login"} 1.0']
    [concern] = node.client.get(f"{node.url}/health/ready").json()["concerns"]
    assert concern.startswith("keys of issuer login: answered 500, those of ")
    publisher.is_up = True
    made_up = jwt.encode({"sub": "eve", "iss": ISSUER}, ed25519.Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": "k3"})
    assert await verdict(node, made_up) == 3500
    assert await verdict(node, publisher.token("dan", "k2")) == 0
    assert 'heliograph_token_pairs_total{outcome="reused"} 0.0' in metric(node, "heliograph_token_pairs_total")
    assert node.stop() == 0
