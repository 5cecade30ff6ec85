"""Acks that race the push, and critical notifications behind a backlog (R13, R14)."""

import asyncio
import json
import random
import time
from datetime import datetime

import httpx
import pytest

from loadtest.faults.events import Acked, Ended, Notified, Sent

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

RACES = 10_000
AT_ONCE = 100
BACKLOG = 100_000
BULK_USERS = 1_000


def token(number):
    return f"{number:064x}"


def deliveries(node):
    """Calls to providers by the node's own log: notification, address, and when the call began, before its first byte."""
    for line in node.log.splitlines():
        if '"delivery.ended"' in line:
            entry = json.loads(line)
            ended_at = datetime.fromisoformat(entry["timestamp"]).timestamp()
            yield entry["notification"], entry["address"], ended_at - entry["took_s"]


async def test_no_send_begins_after_an_ack_is_recorded(fleet):  # R13
    await fleet.simulators()
    node = await fleet.node(
        "node",
        HELIOGRAPH_LOG__LEVEL="debug",
        HELIOGRAPH_LOG__FORMAT="json",
        HELIOGRAPH_PROVIDERS__APNS__RATE_PER_S="150",  # so that sends are spread over the time in which acks come
        HELIOGRAPH_PROVIDERS__APNS__BURST="10",
    )
    api = fleet.api(node)
    for number in range(AT_ONCE):
        await api.call("device_register", user=f"u{number}", provider="apns", token=token(number))
    chance = random.Random(13)
    history = []

    async def ack(user, id_):
        await asyncio.sleep(chance.random() * 0.5)
        await api.call("notification_ack", id=id_, user=user)
        history.append(Acked(time.time(), id_))

    ids = []
    while len(ids) < RACES:
        users = [f"u{number}" for number in range(AT_ONCE)]
        accepted = (await api.call("notify", users=users, title="Tide", routes=["push"], push_wait_s=0))["notifications"]
        history += [Notified(time.time(), item["id"]) for item in accepted]
        ids += [item["id"] for item in accepted]
        await asyncio.gather(*(ack(item["user"], item["id"]) for item in accepted))
    await asyncio.sleep(1)

    states = await api.ended(ids, 60)
    assert set(states.values()) == {"acknowledged"}
    sends = list(deliveries(node))
    history += [Sent(began_at, id_, address, id_) for id_, address, began_at in sends]
    history += [Ended(time.time(), id_, state) for id_, state in states.items()]
    fleet.judge(history)
    share = len({id_ for id_, _, _ in sends}) / len(ids)
    assert 0.02 < share < 0.98, f"it was no race: {share:.0%} of {len(ids)} were sent"


async def test_critical_ones_do_not_wait_behind_a_backlog(fleet):  # R14, N-19
    simulators = await fleet.simulators()
    async with httpx.AsyncClient(timeout=30, base_url=f"http://127.0.0.1:{simulators.port}") as control:
        slow = {"provider": "apns", "action": {"do": "delay", "seconds": 0.2}}
        (await control.post("/faults", json={"rules": [slow]})).raise_for_status()
        node = await fleet.node("node", HELIOGRAPH_NOTIFICATIONS__CONCURRENCY="10")
        api = fleet.api(node)
        users = [f"u{number}" for number in range(BULK_USERS)]
        for number, user in enumerate(users):
            await api.call("device_register", user=user, provider="apns", token=token(number))
        told = {"title": "Tide", "routes": ["push"], "push_wait_s": 0}
        bulk = set()
        while len(bulk) < BACKLOG:
            accepted = await api.call("notify", users=users, **told, priority="bulk")
            bulk |= {item["id"] for item in accepted["notifications"]}

        async def sent():
            return [item["notification_id"] for item in (await control.get("/outbox")).json()["items"]]

        while len(await sent()) < 20:  # noqa: ASYNC110 - what other processes do sets no event of ours
            await asyncio.sleep(0.1)
        accepted = await api.call("notify", users=users[:100], **told, priority="critical")
        critical = [item["id"] for item in accepted["notifications"]]
        before = len(await sent())
        states = await api.ended(critical, 200)
        assert set(states.values()) == {"exhausted"}
        order = await sent()
    last = max(order.index(id_) for id_ in critical)
    overtaken = [id_ for id_ in order[before:last] if id_ not in set(critical)]
    assert len(bulk - set(order[:last])) > BACKLOG * 0.9, "there was a backlog to overtake"
    assert len(overtaken) < 200, "only what was under way while they were planned goes before them"
