"""The control interface over real HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from loadtest.simulators.faults import Respond, Rule
from loadtest.simulators.suite import Simulators

Call = Callable[..., Any]


def record(sims: Simulators, notification_id: str, provider: str = "fcm") -> None:
    sims.outbox.record(provider, "a", title="T", body="B", notification_id=notification_id)  # type: ignore[arg-type]


async def test_outbox(sims: Simulators, call_control: Call) -> None:
    assert await call_control(f"{sims.control}/outbox") == (200, {"items": []})
    for notification_id in ("n1", "n2", "n1"):
        record(sims, notification_id)
    _, everything = await call_control(f"{sims.control}/outbox")
    assert [item["notification_id"] for item in everything["items"]] == ["n1", "n2", "n1"]
    assert everything["items"][0].keys() == {"provider", "address", "title", "body", "notification_id", "at"}
    _, one = await call_control(f"{sims.control}/outbox?notification_id=n1")
    assert len(one["items"]) == 2
    _, none = await call_control(f"{sims.control}/outbox?notification_id=n1&provider=apns")
    assert none["items"] == []


async def test_subscriptions(sims: Simulators, call_control: Call) -> None:
    status, named = await call_control(f"{sims.control}/webpush/subscriptions", {"name": "alice-phone"})
    assert status == 200
    assert named["endpoint"].startswith("https://push.simulator.test/p/alice-phone-")
    assert named["keys"].keys() == {"p256dh", "auth"}
    _, again = await call_control(f"{sims.control}/webpush/subscriptions", {"name": "alice-phone"})
    assert again["endpoint"] != named["endpoint"]
    _, kept = await call_control(f"{sims.control}/webpush/subscriptions", {"name": "alice-phone", "kept": True})
    _, kept_again = await call_control(f"{sims.control}/webpush/subscriptions", {"name": "alice-phone", "kept": True})
    assert kept == kept_again
    assert kept["endpoint"] not in (named["endpoint"], again["endpoint"])
    status, unnamed = await call_control(f"{sims.control}/webpush/subscriptions", raw=b"")
    assert (status, "/p/device-" in unnamed["endpoint"]) == (200, True)


@pytest.mark.parametrize("raw", [b"{", b'{"name":1}', b'{"nome":"x"}', b"[]", b"\xff"])
async def test_bad_bodies_are_refused(sims: Simulators, call_control: Call, raw: bytes) -> None:
    status, answer = await call_control(f"{sims.control}/webpush/subscriptions", raw=raw)
    assert status == 400
    assert answer["error"]


async def test_faults(sims: Simulators, call_control: Call) -> None:
    rule = {"provider": "fcm", "every": 2, "action": {"do": "respond", "status": 503, "headers": {"retry-after": "1"}}}
    assert await call_control(f"{sims.control}/faults", {"rules": [rule]}) == (200, {"rules": [rule]})
    assert sims.faults.rules == (Rule(Respond(503, headers={"retry-after": "1"}), provider="fcm", every=2),)
    status, answer = await call_control(f"{sims.control}/faults", {"rules": [{"action": {"do": "explode"}}]})
    assert (status, "explode" in answer["error"]) == (400, True)
    assert len(sims.faults.rules) == 1
    assert await call_control(f"{sims.control}/faults", {"rules": []}) == (200, {"rules": []})
    assert sims.faults.is_empty


async def test_statistics(sims: Simulators, call_control: Call) -> None:
    record(sims, "n1")
    _, statistics = await call_control(f"{sims.control}/stats")
    assert statistics["outbox"] == {"kept": 1, "recorded": 1}
    assert statistics["providers"]["apns"] == {"calls": 0, "faults": 0, "replies": {}}
    assert statistics["providers"].keys() == {"apns", "fcm", "webpush", "email", "sms", "webhook"}


async def test_reset(sims: Simulators, call_control: Call) -> None:
    record(sims, "n1")
    sims.faults.set([Rule(Respond(500))])
    assert await call_control(f"{sims.control}/reset", raw=b"") == (200, {})
    assert (len(sims.outbox), sims.faults.is_empty) == (0, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.x.test:80"},
        {"Host": ""},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ],
)
async def test_foreign_callers_are_refused(sims: Simulators, call_control: Call, headers: dict[str, str]) -> None:
    record(sims, "n1")
    status, _ = await call_control(f"{sims.control}/reset", raw=b"", **headers)
    assert status == 403
    assert len(sims.outbox) == 1


@pytest.mark.parametrize("headers", [{"Host": "localhost:1"}, {"Host": "[::1]:80"}, {"Origin": "http://127.0.0.1:8000"}])
async def test_callers_on_this_machine_pass(sims: Simulators, call_control: Call, headers: dict[str, str]) -> None:
    status, _ = await call_control(f"{sims.control}/outbox", **headers)
    assert status == 200
