"""R22: whatever a device or a subscription names, nobody inside is called: a listener that stands for every host is not."""

import asyncio
import base64
import json
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.notification import Provider as ProviderName
from config.clock import ManualClock, SystemClock
from config.egress import Pins
from config.provider_settings import WebhookSettings, WebPushSettings
from pushers.outcome import Accepted
from pushers.providers.http import HttpTransport
from pushers.providers.vapid import Vapid
from pushers.providers.webhook import WebhookProvider
from pushers.providers.webpush import WebPushProvider

TABLE = Path(__file__).parents[2] / "config/hostile_endpoints.json"
HOSTILE = [url for urls in json.loads(TABLE.read_text()).values() for url in urls]
INNER = [
    ["127.0.0.1"],
    ["10.0.0.7"],
    ["169.254.169.254"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["2002:7f00:1::"],
    ["fe80::1%eth0"],
    ["93.184.215.14", "127.0.0.1"],
    ["2606:4700::1111", "fd00::1"],
]
SECRET = "0123456789abcdef"


class Inside:
    """A listener to which a transport of its own connects in place of every host; counts who knocks."""

    def __init__(self):
        self.knocks = 0
        self.port = 0

    async def knocked(self, _reader, writer):
        self.knocks += 1
        writer.close()

    def transport(self):
        return HttpTransport(connect_to=f"127.0.0.1:{self.port}")


@pytest.fixture
async def inside():
    """Somebody who must not be called."""
    made = Inside()
    server = await asyncio.start_server(made.knocked, "127.0.0.1", 0, family=socket.AF_INET)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KEYS = {"p256dh": base64url(POINT), "auth": base64url(b"s" * 16)}


def token_of(name, url):
    return json.dumps({"endpoint": url, "keys": KEYS}) if name is ProviderName.WEBPUSH else url


def provider_of(name, inside, addresses):
    pins = Pins(ManualClock(), lambda _host: addresses)
    if name is ProviderName.WEBHOOK:
        settings = WebhookSettings.model_validate({"secret": SECRET, "allowed_hosts": ["*"], "timeout": "2s"})
        return WebhookProvider(settings, (SECRET,), inside.transport(), pins)
    settings = WebPushSettings.model_validate(
        {"vapid_private_key": "-", "subject": "mailto:a@b", "allowed_hosts": ["*"], "timeout": "2s"}
    )
    return WebPushProvider(
        settings, Vapid(ec.generate_private_key(ec.SECP256R1()), "mailto:ops@shop.example"), inside.transport(), pins
    )


async def send_to(url, name, inside, addresses, make_device, make_notification):
    provider = provider_of(name, inside, addresses)
    try:
        device = make_device(name, token_of(name, url))
        return await provider.send(make_notification(title="T"), device, now=SystemClock().now())
    finally:
        await provider.close()


@pytest.mark.parametrize("name", [ProviderName.WEBHOOK, ProviderName.WEBPUSH])
async def test_a_public_address_is_called(inside, name, make_device, make_notification):
    """Without this the other tests would show nothing."""
    outcome = await send_to("https://hooks.example.org/a", name, inside, ["93.184.215.14"], make_device, make_notification)
    assert inside.knocks > 0, outcome


@pytest.mark.parametrize("name", [ProviderName.WEBHOOK, ProviderName.WEBPUSH])
async def test_no_spelling_leads_to_a_call(inside, name, make_device, make_notification):
    for url in HOSTILE:
        outcome = await send_to(url, name, inside, ["93.184.215.14"], make_device, make_notification)
        assert not isinstance(outcome, Accepted), url
        assert inside.knocks == 0, url
    assert len(HOSTILE) > 80


@pytest.mark.parametrize("addresses", INNER)
@pytest.mark.parametrize("name", [ProviderName.WEBHOOK, ProviderName.WEBPUSH])
async def test_no_name_that_leads_inside_is_called(inside, name, addresses, make_device, make_notification):
    outcome = await send_to("https://hooks.example.org/a", name, inside, addresses, make_device, make_notification)
    assert not isinstance(outcome, Accepted)
    assert inside.knocks == 0
