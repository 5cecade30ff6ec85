"""What is changed on one node of a fleet is no longer shown as it was by the other, which remembered it."""

import re
import time

import pytest

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


def hits(node, cache):
    text = node.client.get(f"{node.url}/metrics").text
    found = re.search(rf'heliograph_cache_looks_total{{cache="{cache}",level="local",result="hit"}} (\S+)', text)
    return float(found[1]) if found else 0.0


async def seen(node, shows, what):
    """Wait until a change is seen; it must be long before what is remembered is too old by itself."""
    began = time.monotonic()
    await node.until(shows, what)
    assert time.monotonic() - began < 4


async def test_preferences(fleet, user):
    asked = {"user": user}
    for _ in range(2):
        assert fleet.two.call("preferences_get", **asked)["preferences"] == []
    fleet.one.call("preferences_set", user=user, preferences=[{"category": "news", "route": "email", "enabled": False}])
    await seen(fleet.two, lambda: fleet.two.call("preferences_get", **asked)["preferences"], "the other node shows it")


async def test_devices(fleet, user):
    def listed():
        return [item["id"] for item in fleet.two.call("device_list", user=user)["items"]]

    assert listed() == []
    before = hits(fleet.two, "devices")
    assert listed() == []
    assert hits(fleet.two, "devices") == before + 1
    device = {"user": user, "provider": "email", "token": f"{user}@example.org"}
    device_id = fleet.one.call("device_register", **device)["id"]
    await seen(fleet.two, lambda: listed() == [device_id], "registered")
    fleet.one.call("device_register", **{**device, "user": f"{user}-heir"})
    await seen(fleet.two, lambda: listed() == [], "moved to another user")


async def test_templates(fleet, user):
    def shown():
        return fleet.two.call("template_preview", name=user)["body"]

    fleet.one.call("template_put", name=user, title="t", body="first")
    assert shown() == "first"
    fleet.one.call("template_put", name=user, title="t", body="second")
    await seen(fleet.two, lambda: shown() == "second", "the newest version")
