"""Roles alone: a pusher over a real Valkey, and what each role cannot do with which settings."""

import os
import signal

import pytest

from config.settings import Settings
from heliograph.embedded import embedded_valkey, find_server
from heliograph.roles import GATEWAY, PUSHER, ROLES, SERVE


def settings(broker="memory://", store="sqlite:///x.db"):
    return Settings.model_validate({"broker": {"url": broker}, "store": {"url": store}})


def test_a_pusher_in_memory_is_refused_in_one_line(run):
    ended = run("pusher")
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith("heliograph: broker.url: memory:// ")


@pytest.mark.parametrize("role", [SERVE, GATEWAY])
def test_others_may_stay_in_memory(role):
    assert role.problems(settings()) == []


@pytest.mark.parametrize(
    ("role", "broker", "store", "paths"),
    [
        (SERVE, "memory://", "sqlite:///x.db", []),
        (GATEWAY, "memory://", "postgresql://h/d", ["broker.url"]),
        (GATEWAY, "memory://", "sqlite:///x.db", ["broker.url", "store.url"]),
        (GATEWAY, "redis://h", "postgresql://h/d", []),
        (PUSHER, "redis://h", "sqlite:///x.db", ["store.url", "providers"]),
        (PUSHER, "redis://h", "postgresql://h/d", ["providers"]),
    ],
)
def test_advises_about_what_joins_no_other_process(role, broker, store, paths):
    advice = role.advice(settings(broker, store))
    assert [line.partition(":")[0] for line in advice] == paths


def test_a_pusher_with_a_provider_is_not_advised_to_set_one():
    email = {"url": "smtp://mail.example.org:587", "sender": "hello@example.org"}
    told = settings("redis://h", "postgresql://h/d").model_dump() | {"providers": {"email": email}}
    assert PUSHER.advice(Settings.model_validate(told)) == []


def test_every_role_has_its_command(run):
    for name in ROLES:
        assert run(name, "--help").code == 0


@pytest.mark.redis
async def test_a_pusher_brings_what_a_gateway_accepts_and_ends_when_told(launch):
    from config.clock import SystemClock

    async with embedded_valkey(find_server(), SystemClock()) as url:
        gateway = launch("gateway", "--port", "0", HELIOGRAPH_BROKER__URL=url).greeted()
        # Without a token secret: nobody connects to a pusher.
        pusher = launch("pusher", "--port", "0", HELIOGRAPH_BROKER__URL=url, HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY="")
        pusher.greeted()
        assert pusher.get("/health/ready") == (200, "{}")
        assert pusher.get("/connection/websocket")[0] == 404
        assert list(gateway.nodes()) == [f"127.0.0.1:{gateway.port}"], "named by where it really listens"
        [accepted] = gateway.call("notify", user="nobody", title="Hello")["notifications"]
        status = {}
        while status.get("state", "pending") == "pending":
            status = gateway.call("notification_status", id=accepted["id"])["notification"]
        assert status["state"] == "failed", "nobody is connected, and no address is known"
        assert "heliograph_notifications_finished_total" in pusher.get("/metrics")[1]
        assert "heliograph_notifications_finished_total" not in gateway.get("/metrics")[1]
        os.kill(pusher.process.pid, signal.SIGTERM)
        assert pusher.process.wait(60) == 0
        assert gateway.end() == 0
        assert "Traceback" not in pusher.log + gateway.log
