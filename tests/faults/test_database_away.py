"""The database is gone for a while: callers are told when to come back, nothing is half stored, all goes on by itself (R10)."""

import asyncio

import pytest

from loadtest.faults.events import Ended, Notified

pytestmark = [pytest.mark.fault, pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(300)]

USERS = 60
AWAY_S = 8.0


async def test_what_was_accepted_ends_and_the_rest_was_refused_with_a_time_to_come_back(fleet, postgres):  # L-6
    await fleet.valkey()
    await fleet.simulators()
    fleet.environ |= {"HELIOGRAPH_STORE__URL": postgres.url, "HELIOGRAPH_NOTIFICATIONS__LEASE": "3s"}
    gateway = await fleet.node("gateway", role="gateway")
    await fleet.node("pusher", role="pusher")
    api = fleet.api(gateway)
    for number in range(USERS):
        await api.call("device_register", user=f"u{number}", provider="apns", token=f"{number:064x}")
    accepted, refused = [], []
    stop = asyncio.Event()

    async def notify():
        for number in range(10**9):
            if stop.is_set():
                return
            key = f"key-{number}"
            answer = await api.post(
                "notify", user=f"u{number % USERS}", title="Tide", routes=["push"], push_wait_s=0, idempotency_key=key
            )
            if answer.status_code == 200 and "result" in answer.json():
                accepted.append(answer.json()["result"]["notifications"][0]["id"])
            else:
                assert answer.status_code == 503, answer.text
                assert float(answer.headers["retry-after"]) > 0
                refused.append(key)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(notify())
        await asyncio.sleep(1)
        await asyncio.to_thread(postgres.stop)
        await asyncio.sleep(AWAY_S)
        live = await api.call("publish", channel="news", data={"still": "there"})
        assert live["offset"] == 1
        await asyncio.to_thread(postgres.start)
        before = len(accepted)
        await fleet.until(lambda: len(accepted) > before + 20, "notifications are accepted again")
        stop.set()

    assert refused
    again = await api.call("notify", user="u1", title="Tide", routes=["push"], push_wait_s=0, idempotency_key=refused[-1])
    accepted.append(again["notifications"][0]["id"])
    states = await api.ended(accepted, 120)
    fleet.judge([Notified(1.0, entry) for entry in accepted], [Ended(2.0, entry, state) for entry, state in states.items()])
