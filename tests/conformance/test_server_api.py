"""PROTOCOL.md §8: the HTTP API, and what its calls do to connected clients."""

import asyncio

import httpx
import pytest


def error_of(answer):
    """Check the shape of a failed call: HTTP 200, an error, no result."""
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"]["message"]
    return body["error"]["code"]


def test_p62_refusals_before_the_method(strict):
    """P-62: API bad key 401, bad JSON 400, GET 405, unknown 404."""
    assert httpx.post(f"{strict.url}/api/info", content=b"{}").status_code == 401
    assert strict.post("info", {}, **{"X-API-Key": "wrong"}).status_code == 401
    assert strict.post("publish", b"{").status_code == 400
    assert strict.http.get(f"{strict.url}/api/info", headers={"X-API-Key": strict.api_key}).status_code == 405
    assert strict.post("nothing", {}).status_code == 404


def test_p62_the_ways_to_give_the_key(strict):
    """P-62: the key comes in a header of its own or in `Authorization`."""
    headers = {"Authorization": f"apikey {strict.api_key}"}
    assert httpx.post(f"{strict.url}/api/info", content=b"{}", headers=headers).status_code == 200


def test_p63_errors_are_200(strict):
    """P-63: API error is 200 with error."""
    assert error_of(strict.post("publish", {"channel": "nowhere:a", "data": {}})) == 102
    assert error_of(strict.post("publish", {"channel": "", "data": {}})) == 107
    assert error_of(strict.post("presence", {"channel": "a"})) == 108
    assert error_of(strict.post("history", {"channel": "kept:a", "since": {"offset": 1, "epoch": "wrong"}, "limit": 1})) == 112


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("publish", {"channel": "nowhere:a", "data": {}}, 404, 102),
        ("publish", {"channel": "", "data": {}}, 400, 107),
        ("presence", {"channel": "a"}, 400, 108),
        ("notification_status", {"id": "unknown"}, 404, 104),
        ("history", {"channel": "kept:a", "limit": 1, "since": {"offset": 1, "epoch": "wrong"}}, 416, 112),
    ],
)
def test_p63_transport_mode_maps_status(brief, method, body, status, code):
    """P-63: transport mode maps status."""
    answer = brief.post(method, body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code if "error" in answer.json() else answer.json()["code"] == code


def test_p64_what_publish_answers(strict, channel):
    """P-64: publish result has offset and epoch; empty without history, and with `skip_history`."""
    name = channel("kept")
    first, second = (strict.call("publish", channel=name, data={}) for _ in range(2))
    assert (first["offset"], second["offset"]) == (1, 2)
    assert first["epoch"] == second["epoch"]
    assert strict.call("publish", channel=channel(), data={}) == {}
    assert strict.call("publish", channel=name, data={}, skip_history=True) == {}


async def test_p65_the_same_idempotency_key(strict, connected, user, channel):
    """P-65: same idempotency key: same offset, one delivery."""
    peer, name = await connected(strict, user), channel("kept")
    await peer.subscribe(name)
    answers = [strict.call("publish", channel=name, data=n, idempotency_key="k") for n in (1, 2)]
    assert answers[0] == answers[1]
    assert strict.call("publish", channel=name, data=3, idempotency_key="other")["offset"] == 2
    assert [(await peer.publication(name))["data"] for _ in range(2)] == [1, 3]


async def test_p66_versions(strict, connected, user, channel):
    """P-66: old version suppressed; new version_epoch accepted."""
    peer, name = await connected(strict, user), channel("kept")
    await peer.subscribe(name)
    for data, version, epoch in ((1, 5, "a"), (2, 4, "a"), (3, 5, "a"), (4, 6, "a"), (5, 1, "b")):
        strict.call("publish", channel=name, data=data, version=version, version_epoch=epoch)
    assert [(await peer.publication(name))["data"] for _ in range(3)] == [1, 4, 5]
    assert len(strict.call("history", channel=name, limit=-1)["publications"]) == 3


async def test_p67_broadcast(strict, connected, user, channel):
    """P-67: broadcast answers per channel in order; one that fails fails alone."""
    peer, name = await connected(strict, user), channel("kept")
    await peer.subscribe(name)
    names = [channel(), "nowhere:a", name, channel("kept")]
    plain, unknown, kept, other = strict.call("broadcast", channels=names, data={"n": 1})["responses"]
    assert plain == {"result": {}}
    assert unknown["error"]["code"] == 102
    assert (kept["result"]["offset"], other["result"]["offset"]) == (1, 1)
    assert (await peer.publication(name))["data"] == {"n": 1}


def test_p68_batch(strict, channel):
    """P-68: batch shape, order, unknown → 104; no `result` around the replies."""
    name = channel("kept")
    commands = [
        {"publish": {"channel": name, "data": 1}},
        {"nothing": {}},
        {"history": {"channel": name, "limit": 1}},
        {"publish": {"channel": "nowhere:a", "data": 1}},
    ]
    answer = strict.post("batch", {"commands": commands}).json()
    assert answer.keys() == {"replies"}
    published, unknown, history, failed = answer["replies"]
    assert published["publish"]["offset"] == 1
    assert unknown["error"]["code"] == 104
    assert len(history["history"]["publications"]) == 1
    assert failed["error"]["code"] == 102


async def test_p69_subscribed_and_unsubscribed_by_the_api(strict, connected, user, channel):
    """P-69: API subscribe/unsubscribe push `subscribe` / 2000; what is published in between arrives."""
    peer, name = await connected(strict, user), channel("kept")
    strict.call("subscribe", user=user, channel=name, data={"why": 1})
    push = (await peer.push("subscribe", name))["subscribe"]
    assert (push["recoverable"], push["positioned"], push["data"]) == (True, True, {"why": 1})
    assert push["epoch"]
    strict.call("publish", channel=name, data="in between")
    assert (await peer.publication(name))["data"] == "in between"
    strict.call("unsubscribe", user=user, channel=name)
    assert (await peer.push("unsubscribe", name))["unsubscribe"] == {"code": 2000, "reason": "server unsubscribe"}
    strict.call("publish", channel=name, data="too late")
    await peer.result(unsubscribe={"channel": "none"})
    assert len([entry for entry in peer.log if "pub" in entry.get("push", {})]) == 1


async def test_p70_disconnected_by_the_api(strict, connected, user):
    """P-70: API disconnect default 3503, custom code and reason arrive; a whitelisted client stays."""
    first, second = await connected(strict, user), await connected(strict, f"{user}-2")
    strict.call("disconnect", user=user)
    assert await first.closed() == (3503, "force disconnect")
    strict.call("disconnect", user=f"{user}-2", disconnect={"code": 4321, "reason": "closed for today"})
    assert await second.closed() == (4321, "closed for today")


async def test_p70_the_whitelist(strict, open_peer, connected, user):
    """P-70 with §8: `whitelist` names clients that stay."""
    stays, goes = await open_peer(strict), await connected(strict, user)
    client = (await stays.result(connect={"token": strict.token(user)}))["client"]
    strict.call("disconnect", user=user, whitelist=[client], disconnect={"code": 3011, "reason": "force reconnect"})
    assert await goes.closed() == (3011, "force reconnect")
    assert await stays.result(unsubscribe={"channel": "none"}) == {}


async def test_a_refresh_by_the_api(strict, connected, user):
    """§8.4: prolonged, the client is told; expired, it is closed with 3005."""
    peer = await connected(strict, user)
    strict.call("refresh", user=user, expire_at=4_000_000_000)
    push = (await peer.push("refresh"))["refresh"]
    assert push["expires"] is True
    assert push["ttl"] > 0
    strict.call("refresh", user=user, expired=True)
    assert await peer.closed() == (3005, "connection expired")


async def test_calls_at_the_same_time_keep_their_order(strict, connected, user, channel):
    """§5.1: delivery order per channel is publish order, whoever publishes."""
    peer, name = await connected(strict, user), channel("kept")
    await peer.subscribe(name)
    async with httpx.AsyncClient(headers={"X-API-Key": strict.api_key}, timeout=30) as http:

        async def publish(number):
            answer = await http.post(f"{strict.url}/api/publish", json={"channel": name, "data": number})
            return answer.json()["result"]["offset"], number

        expected = [number for _, number in sorted(await asyncio.gather(*map(publish, range(50))))]
    got = [await peer.publication(name) for _ in range(50)]
    assert [entry["offset"] for entry in got] == list(range(1, 51))
    assert [entry["data"] for entry in got] == expected
