"""Pushers are killed while they tell a campaign: each user has one notification, and every one of these ends (N-9, R9)."""

import asyncio
import time
from collections import Counter

import httpx
import pytest

from loadtest.faults.events import Ended, Notified, Sent

pytestmark = [pytest.mark.fault, pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(300)]

USERS = 600
LEAST_KILLS = 3


async def outbox(simulators):
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"http://127.0.0.1:{simulators.port}/outbox")).json()["items"]


async def inboxes(api, users):
    """The ids in each user's inbox."""
    replies = []
    for start in range(0, len(users), 100):
        commands = [{"inbox_list": {"user": user, "limit": 10}} for user in users[start : start + 100]]
        replies += (await api.call_batch(commands))["replies"]
    return {user: [item["id"] for item in reply["inbox_list"]["items"]] for user, reply in zip(users, replies, strict=True)}


async def test_a_campaign_outlives_its_pushers(fleet, postgres):
    await fleet.valkey()
    simulators = await fleet.simulators()
    fleet.environ |= {
        "HELIOGRAPH_STORE__URL": postgres.url,
        "HELIOGRAPH_NOTIFICATIONS__LEASE": "3s",
        "HELIOGRAPH_NOTIFICATIONS__CAMPAIGNS__BACKLOG": "100",  # so that pages are told as deliveries go out
        "HELIOGRAPH_PROVIDERS__APNS__RATE_PER_S": "15",
        "HELIOGRAPH_PROVIDERS__APNS__BURST": "10",
    }
    gateway = await fleet.node("gateway", role="gateway")
    pushers = [await fleet.node(f"pusher-{number}", role="pusher") for number in range(2)]
    api = fleet.api(gateway)
    users = [f"u{number:03}" for number in range(USERS)]
    for number, user in enumerate(users):
        await api.call("device_register", user=user, provider="apns", token=f"{number:064x}")
    await api.call("topic_subscribe", topic="news", users=users)
    campaign = (await api.call("notify", topic="news", title="Tide", routes=["push"], push_wait_s=0))["campaign"]

    kills, status = 0, {"state": "scheduled"}
    async with asyncio.timeout(200):
        while status["state"] != "done":
            victim = pushers[kills % 2]
            await victim.kill()
            kills += 1
            await victim.start()
            await asyncio.sleep(0.5)
            status = (await api.call("campaign_status", id=campaign))["campaign"]
    assert kills >= LEAST_KILLS
    assert (status["expanded"], status["skipped"]) == (USERS, 0)
    ids_by_user = await inboxes(api, users)
    assert {user: len(ids) for user, ids in ids_by_user.items()} == dict.fromkeys(users, 1), "nobody twice, and nobody not"

    ids = [id_ for (id_,) in ids_by_user.values()]
    states = await api.ended(ids, 120)
    items = await outbox(simulators)
    history = [Notified(time.time(), entry) for entry in ids]
    history += [Sent(item["at"], item["notification_id"], item["address"], item["headers"]["apns-id"]) for item in items]
    history += [Ended(time.time(), entry, state) for entry, state in states.items()]
    fleet.judge(history)
    assert Counter(states.values()) == {"exhausted": USERS}
    assert {item["notification_id"] for item in items} == set(ids)
