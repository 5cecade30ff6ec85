"""The two traces over the processes of a fleet, as a collector gets them: decoded from what is sent over OTLP.

The fleet writes traces and begins none by itself (`sample_ratio` is 0): a caller that is sampled has them written.
"""

import secrets
import uuid

import pytest

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


@pytest.fixture
def trace():
    return secrets.token_hex(16)


def by_name(spans, name):
    return [span for span in spans if span["name"] == name]


async def test_a_publish_is_one_trace_over_both_nodes(fleet, wire, collector, trace):
    channel = f"traced-{uuid.uuid4().hex[:8]}"
    clients = [await wire(node, token=fleet.token("ann")) for node in (fleet.one, fleet.two)]
    for client in clients:
        assert "subscribe" in await client.ask(subscribe={"channel": channel})
    fleet.one.post("publish", {"channel": channel, "data": {"a": 1}}, traceparent=f"00-{trace}-{'b' * 16}-01")
    for client in clients:
        assert (await client.pushed(channel, "pub"))["data"] == {"a": 1}
    spans = await collector.spans(trace, fanout=2, publish=1, **{"POST /api/publish": 1})
    (call,), (publish,) = by_name(spans, "POST /api/publish"), by_name(spans, "publish")
    assert (call["parent"], publish["parent"]) == ("b" * 16, call["id"])
    fanouts = by_name(spans, "fanout")
    assert [fanout["parent"] for fanout in fanouts] == [publish["id"]] * 2
    assert len({fanout["instance"] for fanout in fanouts}) == 2, "a span of each node"
    assert call["instance"] in {fanout["instance"] for fanout in fanouts}


async def test_a_notification_is_one_trace_over_gateway_and_pusher(fleet, wire, collector, trace):
    user = f"user-{uuid.uuid4().hex[:8]}"
    fleet.one.call("device_register", user=user, provider="fcm", token=f"{user}-busy-phone")
    client = await wire(fleet.two, token=fleet.token(user))
    body = {"user": user, "title": "Tide", "ack_wait_s": 0.2, "push_wait_s": 60, "routes": ["live", "push"]}
    answer = fleet.one.post("notify", body, traceparent=f"00-{trace}-{'b' * 16}-01").json()
    sent = answer["result"]["notifications"][0]["id"]
    assert (await client.notified(user))["id"] == sent
    await collector.spans(trace, delivery=2)
    assert "rpc" in await client.ask(rpc={"method": "notification.ack", "data": {"id": sent}})
    spans = await collector.spans(trace, ack=1, plan=2, delivery=2, fanout=1, live=1, **{"provider call": 2})
    (call,), (ack,) = by_name(spans, "POST /api/notify"), by_name(spans, "ack")
    plans, deliveries, calls = (by_name(spans, name) for name in ("plan", "delivery", "provider call"))
    assert {span["parent"] for span in (*plans, *deliveries, ack)} == {call["id"]}
    assert sorted(span["parent"] for span in calls) == sorted(span["id"] for span in deliveries)
    assert [span["attributes"]["heliograph.outcome"] for span in deliveries] == ["retry", "accepted"]
    (live,), (publish,), (fanout,) = (by_name(spans, name) for name in ("live", "publish", "fanout"))
    assert live["parent"] in {span["id"] for span in plans}
    assert (publish["parent"], fanout["parent"]) == (live["id"], publish["id"])
    pusher = {span["instance"] for span in (*plans, *deliveries, *calls)}
    assert len(pusher) == 1
    assert len({*pusher, call["instance"], ack["instance"]}) == 3, "accepted by one node, seen on the other"


async def test_what_nobody_samples_is_not_sent(fleet, collector, trace):
    fleet.one.post("publish", {"channel": "x", "data": {}}, traceparent=f"00-{trace}-{'b' * 16}-00")
    seen = secrets.token_hex(16)
    fleet.one.post("publish", {"channel": "x", "data": {}}, traceparent=f"00-{seen}-{'b' * 16}-01")
    await collector.spans(seen, publish=1)
    assert collector.of(trace) == []
