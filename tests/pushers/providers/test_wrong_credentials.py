"""N-13: whatever the kind of provider, credentials that it refuses are told from messages and devices that it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings
from loadtest.simulators.faults import Respond, Rule
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, ConfigPause
from pushers.providers.configured import build_providers


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


OTHER_EC_KEY = pem(ec.generate_private_key(ec.SECP256R1()))
OTHER_RSA_KEY = pem(rsa.generate_private_key(65537, 2048))
TOKENS = {
    ProviderName.APNS: "a1" * 32,
    ProviderName.FCM: "fcm-token-0123456789",
    ProviderName.EMAIL: "bob@mail.example",
    ProviderName.SMS: "+15005550006",
    ProviderName.WEBHOOK: "https://hooks.example.org/t1",
}


def spoilt(name: ProviderName, section: dict[str, Any]) -> dict[str, Any]:
    """Take a section's credentials for those of somebody else."""
    match name:
        case ProviderName.APNS:
            return {**section, "private_key": OTHER_EC_KEY}
        case ProviderName.FCM:
            account = {**json.loads(section["service_account"]), "private_key": OTHER_RSA_KEY}
            return {**section, "service_account": json.dumps(account)}
        case ProviderName.WEBPUSH:
            return {**section, "vapid_private_key": OTHER_EC_KEY}
        case ProviderName.EMAIL:
            return {**section, "password": "wrong"}
        case ProviderName.SMS:
            return {**section, "auth_token": "wrong"}
        case ProviderName.WEBHOOK:
            return {**section, "secret": "somebody-else's-secret"}


@pytest.mark.parametrize("name", ProviderName)
async def test_a_providers_refusal_of_our_credentials_pauses_and_accuses_nobody_else(
    name: ProviderName,
    simulators_folder: Path,
    make_notification: Callable[..., Notification],
    make_device: Callable[..., Device],
) -> None:
    async with Simulators(simulators_folder) as simulators:
        section = simulators.relays["starttls"] if name is ProviderName.EMAIL else simulators.providers[name]
        if name is ProviderName.WEBHOOK:  # an address of the settings: what devices name may refuse for itself alone
            section = {**section, "url": "https://hooks.example.org/all"}
        token = TOKENS.get(name) or msgspec.json.encode(simulators.mint_subscription("phone", True)).decode()
        device = make_device(name, token)
        if name is ProviderName.WEBPUSH:  # the simulator binds no key to a subscription, as RFC 8292 §4.2 lets services do
            simulators.faults.set([Rule(Respond(403), provider=name, nth=1)])
        for settings, expected in ((spoilt(name, section), ConfigPause), (section, Accepted)):
            (carrier,) = build_providers(ProvidersSettings.model_validate({name: settings}), clock=SystemClock())
            outcome = await carrier.send(make_notification(title="T"), device, now=SystemClock().now())
            await carrier.close()
            assert isinstance(outcome, expected), outcome
        assert len(simulators.outbox.items()) == 1
