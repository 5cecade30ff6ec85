"""All simulators together: settings, reset, restart, ports."""

import asyncio
import socket
from pathlib import Path

import pytest

from config.settings import ProvidersSettings
from loadtest.simulators.faults import Respond, Rule
from loadtest.simulators.suite import Ports, Simulators


async def test_settings_fit_the_section_of_ours(sims: Simulators) -> None:
    settings = ProvidersSettings.model_validate(sims.providers)
    for section in (settings.apns, settings.fcm, settings.webpush, settings.email, settings.sms, settings.webhook):
        assert section.is_configured
    assert settings.webpush.allowed_hosts == ("*",)
    assert Path(settings.apns.ca_file).is_absolute()


async def test_reset_forgets_all_but_keys(sims: Simulators) -> None:
    sims.outbox.record("fcm", "a", title="", body="", notification_id="")
    sims.faults.set([Rule(Respond(500))])
    before = dict(sims.providers)
    sims.reset()
    assert (len(sims.outbox), sims.faults.is_empty, sims.providers) == (0, True, before)


async def test_a_restart_keeps_keys_and_takes_new_ports(tmp_path: Path) -> None:
    async with Simulators(tmp_path) as first:
        kept = {**first.providers["webpush"], "connect_to": ""}
        token = first.mint_subscription("phone").endpoint
    async with Simulators(tmp_path) as second:
        assert {**second.providers["webpush"], "connect_to": ""} == kept
        assert second.subscriptions.token_of(token.removeprefix("https://push.simulator.test")) is not None


async def test_two_in_one_folder(tmp_path: Path) -> None:
    async with Simulators(tmp_path) as first, Simulators(tmp_path) as second:
        assert first.providers["apns"]["private_key"] == second.providers["apns"]["private_key"]
        assert first.providers["apns"]["url"] != second.providers["apns"]["url"]


async def test_a_taken_port_leaves_nothing_open(sims: Simulators, tmp_path: Path) -> None:
    control = int(sims.control.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as free:
        apns = free.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        async with Simulators(tmp_path, ports=Ports(apns=apns, control=control)):
            pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", apns)
