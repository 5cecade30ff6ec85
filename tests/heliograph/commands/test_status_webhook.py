"""`heliograph status-webhook`: what is told, and what is asked of the server (N-28)."""

import http.server
import json
import threading

import pytest


@pytest.fixture
def server():
    """A server of the API that answers as told, and keeps what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"result": self.server.answer}).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        made.asked, made.url = [], f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


FAILING = {"failing_since": 1767225600.0, "cause": "status 503"}


@pytest.mark.parametrize(
    ("command", "answer", "line"),
    [
        ("info", {"enabled": True}, "on"),
        ("info", {"enabled": False}, "not set: no pusher has started with notifications.status_webhook.url"),
        ("info", {"enabled": True, **FAILING}, "on, failing since 2026-01-01T00:00:00Z: status 503"),
        (
            "info",
            {"enabled": False, "disabled_at": 1767484800.0, **FAILING},
            "off since 2026-01-04T00:00:00Z, failing since 2026-01-01T00:00:00Z: status 503",
        ),
        ("enable", {"was_disabled": True}, "It is on again."),
        ("enable", {"was_disabled": False}, "Nothing to do: it was not switched off."),
    ],
)
def test_says_how_it_stands(run, server, command, answer, line):
    server.answer = answer
    ended = run("status-webhook", command, "--url", server.url, "--api-key", "k")
    assert (ended.code, ended.out, ended.err) == (0, f"{line}\n", "")
    assert server.asked == [f"/api/status_webhook_{command}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_asks_where_the_settings_say_that_a_server_listens(run, server, directory, host):
    server.answer = {"enabled": True}
    file = directory / "h.toml"
    file.write_text(f'[http]\nhost = "{host}"\nport = {server.server_port}\n[http_api]\nkeys = ["k"]\n')
    assert run("status-webhook", "info", "--config", "h.toml").out == "on\n"
    elsewhere = run("status-webhook", "info", "--config", "h.toml", "--url", "http://127.0.0.1:1")
    assert (elsewhere.code, elsewhere.problems[0].partition(" cannot")[0]) == (2, "heliograph: --url: http://127.0.0.1:1")
