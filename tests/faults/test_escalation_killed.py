"""A pusher is killed again and again: what nobody saw is escalated once, and what somebody saw is not."""

import asyncio

import httpx
import pytest

pytestmark = [pytest.mark.fault, pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(400)]

USERS = 200
KILLS = 20
AFTER_S = 6


def escalations_of(status):
    """The ids that a timeline says somebody was told as."""
    return [step["detail"].removeprefix("told as ") for step in status["steps"] if step["outcome"] == "escalated"]


async def test_each_that_nobody_saw_is_escalated_and_no_other(fleet, postgres):
    await fleet.valkey()
    simulators = await fleet.simulators()
    fleet.environ |= {
        "HELIOGRAPH_STORE__URL": postgres.url,
        "HELIOGRAPH_NOTIFICATIONS__LEASE": "2s",
        "HELIOGRAPH_PROVIDERS__WEBHOOK__RATE_PER_S": "40",  # so that kills meet escalations under way
        "HELIOGRAPH_PROVIDERS__WEBHOOK__BURST": "5",
    }
    api = fleet.api(await fleet.node("gateway", role="gateway"))
    pusher = await fleet.node("pusher", role="pusher")
    ids = {}
    told = {"title": "Fire", "priority": "critical", "routes": ["live"], "ack_wait_s": 0}
    for number in range(USERS):
        escalate = {"after_s": AFTER_S, "to_url": f"https://pager.example.org/{number}"}
        accepted = await api.call("notify", user=f"u{number}", **told, escalate=escalate)
        ids[number] = accepted["notifications"][0]["id"]
        if number % 2:
            await api.call("notification_ack", user=f"u{number}", id=ids[number])

    for _ in range(KILLS):
        await pusher.kill()
        await pusher.start()
        await asyncio.sleep(0.5)

    async def statuses(wanted):
        return [(await api.call("notification_status", id=one))["notification"] for one in wanted]

    unseen, seen = [ids[number] for number in range(0, USERS, 2)], [ids[number] for number in range(1, USERS, 2)]
    async with asyncio.timeout(200):
        while not all(map(escalations_of, await statuses(unseen))):  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.5)
    escalations = [escalations_of(status) for status in await statuses(unseen)]
    assert all(len(told_as) == 1 for told_as in escalations), "told of in one transaction with what was decided"
    ended = await api.ended([one for (one,) in escalations], 200)
    assert set(ended.values()) == {"exhausted"}
    assert not any(map(escalations_of, await statuses(seen)))
    async with httpx.AsyncClient(timeout=30) as client:
        items = (await client.get(f"http://127.0.0.1:{simulators.port}/outbox")).json()["items"]
    called = {item["notification_id"]: item["address"] for item in items if item["provider"] == "webhook"}
    pagers = [f"https://pager.example.org/{number}" for number in range(0, USERS, 2)]
    assert called == {one: pager for (one,), pager in zip(escalations, pagers, strict=True)}
