"""`heliograph campaign`: every command against a started server that tells campaigns, and their errors."""

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
    """A server with a topic of two users."""
    server = launch("serve", "--port", "0", HELIOGRAPH_STORE__URL="sqlite:///campaigns.db").greeted()
    call(server, "topic_subscribe", topic="news", users=["ann", "ben"])
    yield server
    assert server.end() == 0


def test_lists_and_steers(run, server):
    options = ("--url", server.url, "--config", "h.toml")
    told = call(server, "notify", topic="news", title="Tide", routes=["live"])["campaign"]
    for _ in range(300):
        if call(server, "campaign_status", id=told)["campaign"]["notifications"].keys() == {"failed"}:
            break
        time.sleep(0.1)
    notification = {"title": "Tide", "send_at": time.time() + 3600}
    later = call(server, "campaign_create", audience={"all": True}, name="Later", notification=notification)["id"]

    ended = run("campaign", "list", *options)
    lines = ended.out.splitlines()
    assert (ended.code, ended.err, len(lines)) == (0, "", 2)
    assert lines[0].startswith(f"{later} ")
    assert lines[0].endswith("Z scheduled 0/? any all Later")
    assert lines[1].endswith("Z done 2/2 any news")
    (item,) = [json.loads(line) for line in run("campaign", "list", "--json", "--state", "done", *options).out.splitlines()]
    assert (item["id"], item["expanded"]) == (told, 2)
    assert run("campaign", "status", told, *options).out.splitlines() == [lines[1], "  failed 2"]
    assert json.loads(run("campaign", "status", told, "--json", *options).out) == item

    assert run("campaign", "rate", later, "2.5", *options).out == f"{later} scheduled 2.5/s\n"
    assert " 2.5/s " in run("campaign", "status", later, *options).out
    assert run("campaign", "list", "--state", "paused", *options).err == "There are none.\n"
    refused = run("campaign", "rate", later, "1e9", *options)
    assert (refused.code, len(refused.problems)) == (2, 1)
    assert "rate_per_s: must be 0, or from 0.001 to 100000" in refused.err
    moves = [run("campaign", move, later, *options).out for move in ("pause", "resume", "cancel")]
    assert moves == [f"{later} paused\n", f"{later} scheduled\n", f"{later} cancelled\n"]
    ended = run("campaign", "pause", "none", *options)
    assert (ended.code, ended.problems) == (2, ["heliograph: the server refused: campaign not found"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["list", "--state", "asleep"], "heliograph campaign list: Invalid value for '--state'"),
        (["list", "--limit", "0"], "heliograph campaign list: Invalid value for '--limit'"),
        (["rate", "id", "fast"], "heliograph campaign rate: Invalid value for 'RATE_PER_S'"),
        (["pause"], "heliograph campaign pause: Missing argument 'CAMPAIGN_ID'"),
        (["list"], "heliograph: http_api.keys: no key is set"),
    ],
)
def test_errors_are_one_line(run, arguments, line):
    ended = run("campaign", *arguments)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)
