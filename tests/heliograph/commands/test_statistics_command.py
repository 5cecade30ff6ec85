"""`heliograph statistics` against a started server, and its errors."""

import json
import time
import urllib.request

import pytest


def call(server, method, **body):
    headers = {"X-API-Key": "k", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/api/{method}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)["result"]


@pytest.fixture
def server(launch):
    """A server at which notifications of two users have failed, for want of any address; one of them was seen all the same."""
    server = launch("serve", "--port", "0", HELIOGRAPH_STORE__URL="sqlite:///statistics.db").greeted()
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
    answer = json.loads(run("statistics", "--json", "--category", "water", *options).out)
    assert answer["groups"][0]["acknowledged"] == 1
    assert answer["groups"][0]["time_to_seen"]["count"] == 1
    assert run("statistics", "--category", "wind", *options).out == "There are none.\n"
    ended = run("statistics", "--route", "pigeon", *options)
    assert (ended.code, len(ended.problems)) == (2, 1)
    assert ended.problems[0].startswith("heliograph: the server refused: bad request: route: must be one of")


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
