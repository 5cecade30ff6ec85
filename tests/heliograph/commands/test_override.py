"""`heliograph override`: its commands against a started server, and their errors."""

import json
import urllib.request

import pytest


@pytest.fixture
def server(launch):
    server = launch("serve", "--port", "0", HELIOGRAPH_STORE__URL="sqlite:///overrides.db").greeted()
    yield server
    assert server.end() == 0


def test_sets_lists_and_removes(run, server):
    options = ("--url", server.url, "--config", "h.toml")
    reason = ("--reason", "a storm comes")
    assert run("override", "list", *options).out == "There are none.\n"
    ended = run("override", "set", "carrier_rate", "fcm", "--value", "2.5", "--for", "30m", *reason, *options)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("carrier_rate fcm 2.5 until 20")
    assert ended.out.endswith(": a storm comes\n")
    told = ("--value", "back at ten")
    assert run("override", "set", "maintenance", *told, "--for", "1h", *reason, *options).code == 0
    items = [json.loads(line) for line in run("override", "list", "--json", *options).out.splitlines()]
    assert [(one["kind"], one["value"]) for one in items] == [("carrier_rate", 2.5), ("maintenance", "back at ten")]
    request = urllib.request.Request(f"{server.url}/health/ready")
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200
    assert run("override", "remove", "maintenance", *options).code == 0
    assert len(run("override", "list", *options).out.splitlines()) == 1

    ended = run("override", "remove", "maintenance", *options)
    assert (ended.code, ended.problems) == (2, ["heliograph: the server refused: override not found"])
    ended = run("override", "set", "pause_lane", "slow", "--for", "1h", *reason, *options)
    assert ended.problems[0].startswith("heliograph: the server refused: bad request: target: must be one of critical, ")
    ended = run("override", "set", "only_critical", "--for", "169h", *reason, *options)
    assert ended.problems[0].startswith(
        "heliograph: the server refused: bad request: expires_in_s: must be above 0 and at most"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["set", "only_critical", "--reason", "x"], "heliograph override set: Missing option '--for'"),
        (["set", "only_critical", "--for", "1h"], "heliograph override set: Missing option '--reason'"),
        (["set", "sleep", "--for", "1h", "--reason", "x"], "heliograph override set: Invalid value for"),
        (["set", "only_critical", "--for", "soon", "--reason", "x"], "heliograph override set: Invalid value for --for"),
        (
            ["set", "carrier_rate", "fcm", "--value", "fast", "--for", "1h", "--reason", "x"],
            "heliograph override set: Invalid value for --value: must be a number from 0.01 to 1000000",
        ),
        (["remove", "sleep"], "heliograph override remove: Invalid value for 'KIND': 'sleep' is not one of"),
    ],
)
def test_wrong_use_is_one_line(run, arguments, line):
    ended = run("override", *arguments, "--api-key", "k", "--url", "http://127.0.0.1:1")
    assert (ended.code, len(ended.problems)) == (2, 1)
    assert ended.problems[0].startswith(line)
