"""PROTOCOL.md §4.5 on the wire: capabilities of connection tokens. Without one nobody may do anything in `closed`."""

import json

import pytest

ALL = ["sub", "pub", "prs", "hst"]


def caps(*channels, allow=ALL, match=""):
    return {"channels": list(channels), "allow": allow, "match": match}


def commands(name):
    return {
        "sub": {"subscribe": {"channel": name}},
        "pub": {"publish": {"channel": name, "data": 1}},
        "prs": {"presence": {"channel": name}},
        "hst": {"history": {"channel": name}},
    }


async def outcome(peer, command):
    """Give the code of a command's error, None for success."""
    reply = await peer.ask(**command)
    return reply.get("error", {}).get("code")


@pytest.mark.parametrize("match", ["", "wildcard", "regex"])
async def test_each_right_opens_one_thing(strict, connected, channel, user, match):
    name = channel("closed")
    pattern = {"": name, "wildcard": f"{name[:-3]}*", "regex": rf"closed:{name[7:10]}[0-9a-f]+"}[match]
    for right in ALL:
        peer = await connected(strict, user, caps=[caps(pattern, allow=[right], match=match)])
        outcomes = {what: await outcome(peer, command) for what, command in commands(name).items()}
        assert outcomes == {what: None if what == right else 103 for what in ALL}


async def test_they_add_up(strict, connected, channel, user):
    name = channel("closed")
    given = [caps(name, allow=["pub"]), caps("closed:*", allow=["hst"], match="wildcard"), caps(name, allow=["sub"])]
    peer = await connected(strict, user, caps=given)
    result = await peer.subscribe(name, recoverable=True)
    assert (result["recoverable"], result["positioned"]) == (True, True)
    await peer.result(publish={"channel": name, "data": {"n": 1}})
    assert (await peer.publication(name))["data"] == {"n": 1}
    history = await peer.result(history={"channel": name, "limit": -1})
    assert [entry["data"] for entry in history["publications"]] == [{"n": 1}]
    assert await peer.error(presence={"channel": name}) == 103


async def test_what_stays_shut(strict, connected, channel, user):
    """P-29 and P-32 hold whatever a token names: private channels have their token, and lists of users their users."""
    peer = await connected(strict, user, caps=[caps("*", "$*", match="wildcard"), caps("$closed:a", "limited:a#42")])
    assert await peer.error(subscribe={"channel": "$closed:a"}) == 103
    assert await peer.error(subscribe={"channel": "limited:a#42"}) == 103
    assert await peer.error(subscribe={"channel": "#42"}) == 103


@pytest.mark.parametrize(
    "bad", [[{"channels": ["("], "match": "regex"}], [{"channels": ["a"], "match": "fuzzy"}], [{"allow": ["all"]}], {"a": 1}]
)
async def test_a_bad_one_is_a_bad_token(strict, open_peer, bad):
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": strict.token(caps=bad)}})
    assert await peer.closed() == (3500, "invalid token")


async def test_no_pattern_stops_the_node(strict, connected, channel):
    """A pattern at which others despair, and the name that drives them there; meanwhile somebody else is served."""
    hostile = await connected(strict, "hostile", caps=[caps("closed:(a+)+b", match="regex")])
    other = await connected(strict, "other")
    await hostile.send({"id": 50, "history": {"channel": "closed:" + "a" * 200}})
    assert await other.subscribe(channel()) == {}
    reply = await hostile.until(lambda message: message.get("id") == 50)
    assert reply["error"]["code"] == 103


async def test_a_refresh_takes_back(strict, connected, channel, user, soon):
    """§3.6 with §4.5: the new token's capabilities replace the old ones, and what only they had opened is closed."""
    kept, lost = channel("closed"), channel("closed")
    own = f"#{user}"
    peer = await connected(strict, user, exp=soon(100), caps=[caps(kept, lost)], channels=[own])
    await peer.subscribe(kept)
    await peer.subscribe(lost)
    token = strict.token(user, exp=soon(200), caps=[caps(kept, allow=["sub"])], channels=[own])
    await peer.result(refresh={"token": token})
    push = await peer.push("unsubscribe", lost)
    assert push["unsubscribe"] == {"code": 2502, "reason": "state invalidated"}
    assert await peer.error(subscribe={"channel": lost}) == 103
    assert await peer.error(publish={"channel": kept, "data": 1}) == 103
    strict.call("publish", channel=kept, data="still here")
    assert (await peer.publication(kept))["data"] == "still here"


async def test_one_way_clients_have_them_too(strict, open_stream, channel, user):
    name = channel("closed")
    token = strict.token(user, caps=[caps(name, allow=["sub"])])
    stream = await open_stream(strict, "uni_http_stream", {"token": token, "subs": {name: {}, channel("closed"): {}}})
    connect = (await stream.message())["connect"]
    assert set(connect["subs"]) == {name, f"#{user}"}
    strict.call("publish", channel=name, data=json.dumps("x"))
    assert (await stream.until(lambda message: "pub" in message))["channel"] == name
