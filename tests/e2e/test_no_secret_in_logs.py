"""What a development server writes at its most talkative, after logins, calls, pushes and mails: none of its secrets."""

import asyncio
import json
import re
import tomllib

import pytest

REFRESH = re.compile(r"[A-Za-z0-9_-]{24,}")


def leaves(value):
    """Every text in a tree."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry)
    elif isinstance(value, str):
        yield value


@pytest.fixture
def talkative(start_server):
    """A development server that logs all there is, and issues tokens."""
    signing = "signing-secret-of-this-test-0123456789abcdef"
    server = start_server(
        "--dev",
        HELIOGRAPH_LOG__LEVEL="debug",
        HELIOGRAPH_CLIENT__TOKEN__ISSUE__ENABLED="true",
        HELIOGRAPH_CLIENT__TOKEN__ISSUE__SIGNING_KEY=signing,
        HELIOGRAPH_NOTIFICATIONS__UNSUBSCRIBE__PUBLIC_URL="https://notify.example.com",
        HELIOGRAPH_NOTIFICATIONS__UNSUBSCRIBE__SECRET="unsubscribe-secret-of-this-test-0123456789",
    )
    return server, [signing, "unsubscribe-secret-of-this-test-0123456789"]


@pytest.mark.slow
async def test_no_secret_reaches_the_log(talkative, wire):
    server, secrets = talkative
    written = tomllib.loads(next(server.directory.glob("data/*.toml")).read_text())
    secrets += [text for text in leaves(written) if REFRESH.fullmatch(text)]
    assert server.api_key in secrets
    token = server.token("ann")
    pair = server.call("token_issue", user="ann")
    secrets += [token, token.rpartition(".")[2], *(text for text in leaves(pair) if len(text) > 20)]
    # Logins, good and bad; calls, good, refused and wrong.
    renewed = server.client.post(f"{server.url}/auth/refresh", json={"refresh_token": pair["refresh_token"]}).json()
    secrets += [text for text in leaves(renewed) if len(text) > 20]
    server.client.post(f"{server.url}/auth/refresh", json={"refresh_token": pair["refresh_token"] + "x"})
    server.client.post(f"{server.url}/api/info", headers={"X-API-Key": "wrong-key-of-this-test-0123456789"}, json={})
    server.client.post(f"{server.url}/api/publish?api_key={server.api_key}", json={"channel": "", "data": {}})
    server.client.post(f"{server.url}/api/publish", headers={"Authorization": f"apikey {server.api_key}"}, content=b"nonsense")
    secrets.append("wrong-key-of-this-test-0123456789")
    client = await wire(server, "ann")
    await client.send(
        {"id": 9, "rpc": {"method": "devices.register", "data": {"provider": "fcm", "token": "phone-token-of-ann-0123456789"}}}
    )
    await client.until(lambda message: message.get("id") == 9)
    # Devices of every kind, accepted, gone, busy and refused.
    subscription = server.mint_subscription()
    devices = {
        "fcm": ["phone-token-of-ann-unregistered-01234", "phone-token-of-ann-busy-012345678901"],
        "apns": ["a1" * 32, "dead" * 16, "bad0" * 16],
        "email": ["ann.private@example.com"],
        "webpush": [json.dumps(subscription)],
    }
    for provider, tokens in devices.items():
        for text in tokens:
            server.call("device_register", user="ann", provider=provider, token=text)
    secrets += [*devices["fcm"], *devices["apns"], *devices["email"], "phone-token-of-ann-0123456789"]
    secrets += [subscription["endpoint"], *subscription["keys"].values()]
    sent = server.notify(
        "ann", title="a title that is private", body="a body that is private", routes=["push", "email"], push_wait_s=0
    )
    await server.settled(sent)
    secrets += ["a title that is private", "a body that is private"]
    await asyncio.sleep(0)
    assert server.stop() == 0
    log = (server.directory / "stderr.log").read_text()
    assert log.count("\n") > 3, "it says nothing at all"
    found = [secret for secret in dict.fromkeys(secrets) if secret in log]
    assert found == []
