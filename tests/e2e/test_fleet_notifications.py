"""Notifications of a fleet: accepted by any node, sent by the pusher, seen and acknowledged wherever the user is."""

import signal
import time
import uuid

import pytest

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


@pytest.fixture
def phone(fleet, user):
    """The user's phone, registered through node two."""
    fleet.two.call("device_register", user=user, provider="fcm", token=f"{user}-phone")
    return f"{user}-phone"


def outcomes(status):
    return [(step["route"], step["outcome"]) for step in status["steps"]]


async def test_a_user_who_is_nowhere_is_pushed_to(fleet, user, phone):
    sent = fleet.one.notify(user, title="Tide", body="Low at noon", push_wait_s=0)
    status = await fleet.two.settled(sent)
    assert (status["state"], outcomes(status)) == ("exhausted", [("live", "offline"), ("push", "accepted")])
    (item,) = fleet.outbox(sent)
    assert (item["provider"], item["address"], item["title"], item["body"]) == ("fcm", phone, "Tide", "Low at noon")


async def test_each_provider_is_reached(fleet, user):
    address, token = f"{user}@example.com", f"{uuid.uuid4().hex}{uuid.uuid4().hex}"
    fleet.one.call("device_register", user=user, provider="apns", token=token)
    fleet.two.call("device_register", user=user, provider="email", token=address)
    sent = fleet.one.notify(user, title="Tide", push_wait_s=0)
    await fleet.one.settled(sent)
    assert [(item["provider"], item["address"]) for item in fleet.outbox(sent)] == [("apns", token), ("email", address)]


@pytest.mark.parametrize("acknowledge", ["over the socket", "over the other node's API"])
async def test_an_ack_on_another_node_ends_it(fleet, wire, user, phone, acknowledge):
    client = await wire(fleet.two, token=fleet.token(user))
    sent = fleet.one.notify(user, title="Seen", ack_wait_s=60)
    assert await client.notified(user) == {"id": sent, "title": "Seen", "priority": "normal"}
    if acknowledge == "over the socket":
        assert "rpc" in await client.ask(rpc={"method": "notification.ack", "data": {"id": sent}})
    else:
        fleet.two.call("notification_ack", id=sent, user=user)
    status = fleet.one.status(sent)
    assert (status["state"], fleet.outbox(sent)) == ("acknowledged", [])


async def test_a_user_on_both_nodes_sees_it_on_both(fleet, wire, user):
    clients = [await wire(node, token=fleet.token(user)) for node in (fleet.one, fleet.two)]
    sent = fleet.two.notify(user, title="Seen", ack_wait_s=60)
    for client in clients:
        assert (await client.notified(user))["id"] == sent
    fleet.one.call("notification_cancel", id=sent)
    assert fleet.two.status(sent)["state"] == "cancelled"


async def test_silence_on_another_node_goes_on_to_the_phone(fleet, wire, user, phone):
    client = await wire(fleet.two, token=fleet.token(user))
    sent = fleet.one.notify(user, title="Anybody?", ack_wait_s=0.2, push_wait_s=0)
    assert (await client.notified(user))["id"] == sent
    status = await fleet.one.settled(sent)
    assert outcomes(status) == [("live", "published"), ("push", "accepted")]
    assert [item["address"] for item in fleet.outbox(sent)] == [phone]


async def test_a_user_who_left_the_other_node_is_pushed_to_without_a_wait(fleet, wire, user, phone):
    client = await wire(fleet.two, token=fleet.token(user))
    fleet.one.call("disconnect", user=user)
    await client.closed()
    await fleet.two.until(lambda: not fleet.two.call("connections", user=user)["connections"], "gone")
    sent = fleet.one.notify(user, title="Tide", ack_wait_s=600, push_wait_s=0)
    assert outcomes(await fleet.one.settled(sent)) == [("live", "offline"), ("push", "accepted")]


async def test_an_idempotency_key_counts_on_both_nodes(fleet, user):
    body = {"user": user, "title": "Once", "routes": ["live"], "idempotency_key": f"{user}-once"}
    first = fleet.one.call("notify", **body)
    assert fleet.two.call("notify", **body) == first
    assert fleet.two.error("notify", **{**body, "title": "Other"})["code"] == 107


async def test_a_rate_holds_for_all_pushers_together(fleet, user):
    fleet.one.call("device_register", user=user, provider="webpush", token=fleet.mint_subscription())
    sent = [fleet.one.notify(user, title="Tide", push_wait_s=0) for _ in range(3)]
    for entry in sent:
        assert (await fleet.one.settled(entry))["state"] == "exhausted"
    fleet.pusher.process.send_signal(signal.SIGSTOP)
    second = fleet.start("pusher-two")
    try:
        late = fleet.one.notify(user, title="Tide", push_wait_s=0, ttl_s=1)
        assert (await fleet.one.settled(late))["state"] == "expired"
    finally:
        fleet.pusher.process.send_signal(signal.SIGCONT)
        assert second.stop() == 0  # tests that follow look at what one pusher does
    assert fleet.outbox(late) == []


async def test_the_bell_rings_when_something_arrives_at_last(fleet, wire, user):
    client = await wire(fleet.two, token=fleet.token(user))
    assert "rpc" in await client.ask(rpc={"method": "inbox.counts", "data": {}})
    boss = await wire(fleet.one, token=fleet.token(f"boss-of-{user}"))
    assert "rpc" in await boss.ask(rpc={"method": "inbox.counts", "data": {}})

    async def unseen(client, user, number):
        while (data := (await client.pushed(f"#{user}", "pub"))["data"]).get("inbox", {}).get("unseen") != number:
            assert data.get("inbox", {}).get("unseen", 0) < number

    fleet.one.notify(user, title="Later", send_at=time.time() + 2, routes=["live"])
    await unseen(client, user, 1)
    escalated = {"after_s": 1, "to_user": f"boss-of-{user}", "routes": ["live"]}
    fleet.one.notify(user, title="Fire", priority="critical", routes=["live"], ack_wait_s=0, escalate=escalated)
    await unseen(client, user, 2)
    await unseen(boss, f"boss-of-{user}", 1)
