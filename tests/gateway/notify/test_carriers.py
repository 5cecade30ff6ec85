"""Devices of text messages, webhooks and apps: registered by backends, refused to clients where that is dangerous."""

import pytest


@pytest.mark.parametrize(
    ("provider", "token", "platform"),
    [
        ("sms", "+4915112345678", "phone"),
        ("webhook", "https://hooks.example.org/T1", "webhook"),
        ("webhook", "pager", "webhook"),
    ],
)
async def test_backends_register_numbers_and_webhooks(desk, provider, token, platform):
    await desk.api.result("device_register", user="42", provider=provider, token=token)
    listed = await desk.api.post("device_list", {"user": "42"})
    (item,) = listed.json()["result"]["items"]
    assert (item["provider"], item["platform"]) == (provider, platform)
    assert token not in listed.text


async def test_clients_register_neither(desk):
    client = desk.world.connected("42")
    for provider, token in (("sms", "+4915112345678"), ("webhook", "https://hooks.example.org/T1")):
        reply = await desk.rpc(client, "devices.register", provider=provider, token=token)
        message = f"bad request: provider: {provider} must be registered by the backend, over the API"
        assert reply == {"error": {"code": 107, "message": message}}
    assert await desk.api.result("device_list", user="42") == {"items": []}


async def test_a_device_names_its_app(desk):
    await desk.api.result("device_register", user="42", provider="fcm", token="token:1", app="kiosk")
    await desk.api.result("device_register", user="42", provider="fcm", token="token:2")
    items = (await desk.api.result("device_list", user="42"))["items"]
    assert {item.get("app") for item in items} == {"kiosk", None}
    assert (await desk.api.error("device_register", user="42", provider="fcm", token="x", app="a b"))[0] == 107


async def test_clients_may_name_an_app_too(desk):
    client = desk.world.connected("42")
    await desk.rpc(client, "devices.register", provider="fcm", token="token:1", app="kiosk")
    assert (await desk.api.result("device_list", user="42"))["items"][0]["app"] == "kiosk"
