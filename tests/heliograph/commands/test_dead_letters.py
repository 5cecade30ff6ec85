"""`heliograph dead-letters`: both commands against a started server, and their errors."""

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
    """A server at which notifications of two users have failed, for want of any address."""
    server = launch("serve", "--port", "0", HELIOGRAPH_STORE__URL="sqlite:///letters.db").greeted()
    call(server, "notify", users=["ann", "ben"], title="Tide", routes=["email"])
    for _ in range(300):
        if len(call(server, "dead_letter_list")["items"]) == 2:
            break
        time.sleep(0.1)
    yield server
    assert server.end() == 0


def test_lists_and_replays(run, server):
    options = ("--url", server.url, "--config", "h.toml")
    ended = run("dead-letters", "list", *options)
    lines = ended.out.splitlines()
    assert (ended.code, ended.err, len(lines)) == (0, "", 2)
    assert lines[0].startswith("2 ")
    assert " failed - - " in lines[0]
    assert lines[0].endswith(" no device and no address")
    (letter,) = [json.loads(line) for line in run("dead-letters", "list", "--json", "--limit", "1", *options).out.splitlines()]
    assert (letter["id"], letter["reason"]) == ("2", "failed")

    ended = run("dead-letters", "replay", "1", "99", "--dry-run", *options)
    assert (ended.code, ended.out) == (0, "1 replayed\n99 not_found\n")
    ended = run("dead-letters", "replay", "--all", "--reason", "failed", "--extend-ttl", "1h", *options)
    assert (ended.code, ended.out) == (0, "2 replayed\n")
    assert run("dead-letters", "replay", "1", *options).out == "1 already\n"
    assert run("dead-letters", "replay", "--all", "--provider", "apns", *options).out == "There are none.\n"
    assert run("dead-letters", "list", "--provider", "apns", *options).err == "There are none.\n"
    ended = run("dead-letters", "list", "--reason", "bad", *options)
    assert (ended.code, len(ended.problems)) == (2, 1)
    assert ended.problems[0].startswith("heliograph: the server refused: bad request: reason: must be one of")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["list", "--limit", "0"], "heliograph dead-letters list: Invalid value for '--limit'"),
        (["replay"], "heliograph dead-letters replay: name ids, or use --all"),
        (["replay", "1", "--all"], "heliograph dead-letters replay: name ids, or use --all"),
        (
            ["replay", "1", "--extend-ttl", "soon", "--api-key", "k"],
            "heliograph dead-letters replay: Invalid value for --extend",
        ),
        (["list", "--url", "ftp://h", "--api-key", "k"], "heliograph dead-letters list: Invalid value for --url"),
        (["list"], "heliograph: http_api.keys: no key is set"),
    ],
)
def test_errors_are_one_line(run, arguments, line):
    ended = run("dead-letters", *arguments)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)
