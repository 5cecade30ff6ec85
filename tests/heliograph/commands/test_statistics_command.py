"""`heliograph statistics` against a started server, and its errors."""

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


def call(server, method, **body):
    headers = {"X-API-Key": "k", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/api/{method}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)["result"]


PRICED = {
    "HELIOGRAPH_STORE__URL": "sqlite:///statistics.db",
    "HELIOGRAPH_NOTIFICATIONS__COSTS__CURRENCY": "EUR",
    "HELIOGRAPH_NOTIFICATIONS__COSTS__SMS": "0.075",
}


@pytest.fixture
def server(launch):
    """A server at which notifications of two users have failed, for want of any address; one of them was seen all the same."""
    server = launch("serve", "--port", "0", **PRICED).greeted()
    answer = call(server, "notify", users=["ann", "ben"], title="Tide", routes=["email"], category="water", priority="high")
    for _ in range(300):
        (group,) = call(server, "notification_statistics")["groups"]
        if group["states"] == {"failed": 2}:
            break
        time.sleep(0.1)
    call(server, "notification_ack", user="ann", id=answer["notifications"][0]["id"])
    yield server
    assert server.end() == 0


def test_it_prints_a_table_or_json(run, server):
    options = ("--url", server.url, "--config", "h.toml")
    ended = run("statistics", "--by", "category", "--by", "priority", *options)
    assert (ended.code, ended.err) == (0, "")
    head, row = (line.split() for line in ended.out.splitlines())
    assert head[:8] == ["category", "priority", "accepted", "sent", "delivered", "opened", "seen", "clicked"]
    assert row[:10] == ["water", "high", "2", "0", "1", "0", "1", "0", "0", "0/0/0"]
    # Nothing was sent, so that nothing cost anything.
    assert (head[-2:], row[-1]) == (["cost", "EUR"], "-")
    answer = json.loads(run("statistics", "--json", "--category", "water", *options).out)
    assert answer["groups"][0]["acknowledged"] == 1
    assert answer["groups"][0]["time_to_seen"]["count"] == 1
    assert run("statistics", "--category", "wind", *options).out == "There are none.\n"
    ended = run("statistics", "--route", "pigeon", *options)
    assert (ended.code, len(ended.problems)) == (2, 1)
    assert ended.problems[0].startswith("heliograph: the server refused: bad request: route: must be one of")


class Priced(BaseHTTPRequestHandler):
    """Answers as a server with prices does."""

    def do_POST(self):
        numbers = dict.fromkeys(("accepted", "sent", "delivered", "opened", "seen", "clicked"), 2)
        group = {**numbers, "failed": {"user": 0, "system": 0, "business": 0}}
        groups = [{"provider": name, **group, **cost} for name, cost in (("sms", {"cost": 412.5}), ("fcm", {"cost": 0.00123}))]
        answer = {"groups": [*groups, {"provider": "apns", **group}], "is_complete": True, "currency": "EUR"}
        body = json.dumps({"result": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


def test_costs_are_a_column_where_there_are_prices(run):
    with HTTPServer(("127.0.0.1", 0), Priced) as priced:
        answering = threading.Thread(target=priced.handle_request)
        answering.start()
        ended = run("statistics", "--by", "provider", "--api-key", "k", "--url", f"http://127.0.0.1:{priced.server_port}")
        answering.join(20)
    assert (ended.code, ended.err) == (0, "")
    head, *rows = (line.split() for line in ended.out.splitlines())
    assert head[-2:] == ["cost", "EUR"]
    assert [row[-1] for row in rows] == ["412.50", "0.00123", "-"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--by", "weather"], "heliograph statistics: Invalid value for '--by'"),
        (["--last", "soon"], "heliograph statistics: Invalid value for '--last'"),
        (["--to", "soon", "--api-key", "k"], "heliograph statistics: Invalid value for --to"),
        ([], "heliograph: http_api.keys: no key is set"),
    ],
)
def test_errors_are_one_line(run, arguments, line):
    ended = run("statistics", *arguments)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)
