"""A pusher is killed again and again: every notification ends, and what is repeated has the same handle (R9)."""

import asyncio
import time
from collections import Counter

import httpx
import pytest

from loadtest.faults.events import Ended, Notified, Sent

pytestmark = [pytest.mark.fault, pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(400)]

USERS = 1500
KILLS = 20


def token(number):
    return f"{number:064x}"


async def outbox(simulators):
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"http://127.0.0.1:{simulators.port}/outbox")).json()["items"]


async def test_every_notification_ends_and_repeats_have_one_handle(fleet, postgres):  # L-2
    await fleet.valkey()
    simulators = await fleet.simulators()
    fleet.environ |= {
        "HELIOGRAPH_STORE__URL": postgres.url,
        "HELIOGRAPH_NOTIFICATIONS__LEASE": "3s",
        "HELIOGRAPH_PROVIDERS__APNS__RATE_PER_S": "60",  # so that there is always something under way
        "HELIOGRAPH_PROVIDERS__APNS__BURST": "20",
    }
    gateway = await fleet.node("gateway", role="gateway")
    pusher = await fleet.node("pusher", role="pusher")
    api = fleet.api(gateway)
    for number in range(USERS):
        await api.call("device_register", user=f"u{number}", provider="apns", token=token(number))
    history = []
    ids = []
    for start in range(0, USERS, 100):
        users = [f"u{number}" for number in range(start, start + 100)]
        accepted = await api.call("notify", users=users, title="Tide", routes=["push"], push_wait_s=0)
        ids += [item["id"] for item in accepted["notifications"]]
    history += [Notified(time.time(), entry) for entry in ids]

    kills = 0
    while kills < KILLS:
        await pusher.kill()
        kills += 1
        await pusher.start()
        await asyncio.sleep(0.5)

    states = await api.ended(ids, 200)

    items = await outbox(simulators)
    history += [Sent(item["at"], item["notification_id"], item["address"], item["headers"]["apns-id"]) for item in items]
    history += [Ended(time.time(), entry, state) for entry, state in states.items()]
    fleet.judge(history)
    assert Counter(states.values()) == {"exhausted": USERS}
    sends = Counter(item["notification_id"] for item in items)
    assert set(sends) == set(ids)
    assert max(sends.values()) <= 1 + KILLS
    assert len(items) - USERS <= KILLS * 100, "no more than what was under way at each kill"
