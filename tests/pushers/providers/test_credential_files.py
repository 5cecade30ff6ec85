"""Credentials in files, from refused to mended, against simulators that check them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, ConfigPause
from pushers.providers.configured import build_providers
from pushers.providers.renewal import Carrier, credential_watch

OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
# By provider: the secret that stands in a file, and a value that its provider refuses.
WRONG = {"apns": ("private_key", OTHER_KEY), "email": ("password", "wrong"), "sms": ("auth_token", "wrong")}
TOKENS = {"apns": "a1" * 32, "email": "bob@mail.example", "sms": "+15005550006"}


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
        yield simulators


def settings_of(simulators: Simulators, name: str) -> dict[str, Any]:
    return simulators.relays["starttls"] if name == "email" else simulators.providers[name]


@pytest.mark.parametrize("name", WRONG)
async def test_mended_credentials_serve_without_a_restart(  # N-13
    name: str,
    simulators: Simulators,
    tmp_path: Path,
    make_notification: Callable[..., Notification],
    make_device: Callable[..., Device],
) -> None:
    settings, (secret, wrong) = settings_of(simulators, name), WRONG[name]
    file = tmp_path / secret
    file.write_text(wrong)
    section = {**settings, secret: "", f"{secret}_file": str(file)}
    carriers: tuple[Carrier, ...] = build_providers(ProvidersSettings.model_validate({name: section}), clock=SystemClock())
    renewed: list[str] = []
    watch, device = credential_watch(carriers, renewed.append), make_device(ProviderName(name), TOKENS[name])

    async def send() -> object:
        return await carriers[0].send(make_notification(title="T"), device, now=SystemClock().now())

    assert isinstance(await send(), ConfigPause)
    await watch.work()
    assert renewed == []
    file.write_text(settings[secret])
    await watch.work()
    assert renewed == [name]
    assert isinstance(await send(), Accepted)
    assert len(simulators.outbox.items()) == 1
    await carriers[0].close()
