"""Providers that say when to come back, that hang, that break connections, that call everything gone (R11, R12, R15)."""

import asyncio
import time
from collections import Counter

import httpx
import pytest

from loadtest.faults.events import Ended, Notified, Sent

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

GUARD_S = 240


def apns_token(number, word="0"):
    return f"{word}{number:0{64 - len(word)}x}"


class Control:
    """The simulators' own interface."""

    def __init__(self, simulators):
        self._client = httpx.AsyncClient(timeout=30, base_url=f"http://127.0.0.1:{simulators.port}")

    async def faults(self, *rules):
        (await self._client.post("/faults", json={"rules": list(rules)})).raise_for_status()

    async def counts(self, provider):
        """What a provider counted: calls, and how many of them met a fault."""
        return (await self._client.get("/stats")).json()["providers"][provider]

    async def items(self, provider=""):
        items = (await self._client.get("/outbox")).json()["items"]
        return [item for item in items if provider in ("", item["provider"])]

    async def close(self):
        await self._client.aclose()


async def notify(api, users, **more):
    """Notify users over push; gives the ids."""
    accepted = await api.call("notify", users=users, title="Tide", routes=["push"], push_wait_s=0, **more)
    return [item["id"] for item in accepted["notifications"]]


async def come(holds, what, guard_s=GUARD_S):
    """Wait for a fact that has to be asked for; the guard only ends a hang."""
    try:
        async with asyncio.timeout(guard_s):
            while not await holds():  # noqa: ASYNC110 - what other processes do sets no event of ours
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never came: {what}") from None


@pytest.fixture
async def control(fleet):
    made = Control(await fleet.simulators())
    yield made
    await made.close()


async def register(api, count):
    """Users a0… have an APNs device, f0… one of FCM."""
    for number in range(count):
        await api.call("device_register", user=f"a{number}", provider="apns", token=apns_token(number))
        await api.call("device_register", user=f"f{number}", provider="fcm", token=f"fcm-token-for-user-{number:04}-0123456789")


@pytest.mark.parametrize("status", [429, 503])
async def test_nobody_calls_before_the_time_that_a_provider_names(fleet, control, status):  # R11
    node = await fleet.node("node")
    api = fleet.api(node)
    await register(api, 20)
    refusal = {"do": "respond", "status": status, "headers": {"retry-after": "6"}}
    await control.faults({"provider": "fcm", "address": "fcm-token", "first": 1, "action": refusal})
    asked_at = time.time()
    ids = await notify(api, ["f0"])

    async def is_refused():
        return (await control.counts("fcm"))["faults"] == 1

    await come(is_refused, "the call that is refused")
    others = [f"f{number}" for number in range(1, 20)] if status == 429 else []  # the word of a 503 is for its message
    ids += await notify(api, [*others, *(f"a{number}" for number in range(20))])
    states = await api.ended(ids, GUARD_S)

    fcm, apns = await control.items("fcm"), await control.items("apns")
    assert (len(fcm), len(apns), set(states.values())) == (1 + len(others), 20, {"exhausted"})
    assert min(item["at"] for item in fcm) >= asked_at + 6, "everything at this provider waited, and to the second"
    assert max(item["at"] for item in apns) < min(item["at"] for item in fcm), "another provider went on"
    assert (await control.counts("fcm"))["faults"] == 1


async def test_hanging_and_breaking_providers_lose_nothing(fleet, control):  # R12, L-7
    node = await fleet.node("node", HELIOGRAPH_PROVIDERS__APNS__TIMEOUT="1s", HELIOGRAPH_LOG__FORMAT="json")
    api = fleet.api(node)
    await register(api, 60)
    await control.faults(
        {"provider": "apns", "first": 60, "action": {"do": "silence"}},
        {"provider": "fcm", "nth": 5, "action": {"do": "goaway"}},
        {"provider": "fcm", "nth": 25, "taken": True, "action": {"do": "goaway"}},
        {"provider": "fcm", "every": 4, "taken": True, "action": {"do": "reset_stream"}},
        {"provider": "fcm", "every": 7, "action": {"do": "close"}},
    )
    began = time.time()
    hanging = await notify(api, [f"a{number}" for number in range(60)])
    breaking = await notify(api, [f"f{number}" for number in range(60)])
    history = [Notified(began, entry) for entry in (*hanging, *breaking)]

    await come(lambda: _has(node, "breaker.moved", '"state":"open"', '"provider":"apns"'), "the breaker's opening", 60)
    assert (await control.counts("apns"))["calls"] <= 60, "what hangs is called no more"
    await control.faults()  # both are well again, and nobody tells the node
    states = await api.ended([*hanging, *breaking], GUARD_S)

    items = await control.items()
    history += [
        Sent(item["at"], item["notification_id"], item["address"], item.get("headers", {}).get("apns-id", "")) for item in items
    ]
    history += [Ended(time.time(), entry, state) for entry, state in states.items()]
    fleet.judge(history)
    assert Counter(states.values()) == {"exhausted": 120}
    assert {item["notification_id"] for item in items} == {*hanging, *breaking}
    assert await _has(node, "breaker.moved", '"state":"closed"', '"provider":"apns"'), "probes found out"


async def _has(node, *words):
    return any(all(word in line.replace(": ", ":") for word in words) for line in node.log.splitlines())


async def test_a_wave_of_unregistered_answers_costs_few_devices(fleet, control):  # R15, N-24
    node = await fleet.node("node", HELIOGRAPH_NOTIFICATIONS__DELETION_GUARD__LEAST="10")
    api = fleet.api(node)
    for number in range(80):
        await api.call("device_register", user=f"a{number}", provider="apns", token=apns_token(number, "dead"))
    users = [f"a{number}" for number in range(80)]
    states = await api.ended(await notify(api, users), GUARD_S)
    assert set(states.values()) == {"failed"}

    async def left():
        return (await api.call("device_list", filter={}, include_total_count=True))["total_count"]

    assert await left() == 70
    assert await _has(node, "deletion_guard.closed")

    async def is_told():
        return [item["provider"] for item in (await api.call("deletion_guard_list"))["items"]] == ["apns"]

    await come(is_told, "the alarm, by API", 60)
    letters = (await api.call("dead_letter_list", reason="refused", provider="apns"))["items"]
    assert len(letters) == 70
    assert {letter["detail"].partition("; ")[2] for letter in letters} == {"kept, since too many are called gone at once"}

    assert (await api.call("deletion_guard_open", provider="apns"))["num_guards"] == 1

    async def is_open():
        return (await api.call("deletion_guard_list"))["items"] == []

    await come(is_open, "the guard's opening", 60)
    await api.ended(await notify(api, users), GUARD_S)
    assert await left() == 0, "an operator said that it was true"


async def test_a_relay_that_is_away_holds_up_mail_and_nothing_else(fleet, control):  # L-8
    node = await fleet.node("node")
    api = fleet.api(node)
    await register(api, 10)
    for number in range(10):
        await api.call("device_register", user=f"m{number}", provider="email", token=f"m{number}@mail.example")
    await control.faults({"provider": "email", "action": {"do": "close"}})
    accepted = await api.call("notify", users=[f"m{number}" for number in range(10)], title="Tide", routes=["email"])
    mailed = [item["id"] for item in accepted["notifications"]]

    async def is_tried():
        return (await control.counts("email"))["faults"] >= 3

    await come(is_tried, "calls that the relay breaks off")
    pushed = await notify(api, [f"a{number}" for number in range(10)])
    assert set((await api.ended(pushed, GUARD_S)).values()) == {"exhausted"}, "another provider went on"
    assert set((await api.states(mailed)).values()) == {"pending"}
    assert await control.items("email") == []
    await control.faults()  # it is back, and nobody tells the node
    assert set((await api.ended(mailed, GUARD_S)).values()) == {"exhausted"}
    assert {item["notification_id"] for item in await control.items("email")} == set(mailed)
