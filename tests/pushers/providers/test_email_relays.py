"""Mail over TLS to a real SMTP server that asks for a login: certificates, passwords, signatures, and mails as they arrive."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import Envelope
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings
from loadtest.simulators.faults import CloseConnection, Respond, Rule
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, Ambiguous, ConfigPause, Retry
from pushers.provider import Provider
from pushers.providers.configured import build_providers


@pytest.fixture
async def simulators(simulators_folder: Path) -> AsyncIterator[Simulators]:
    async with Simulators(simulators_folder) as simulators:
        yield simulators


@pytest.fixture(params=["starttls", "implicit"])
def relay(request: pytest.FixtureRequest, simulators: Simulators) -> dict[str, Any]:
    return simulators.relays[request.param]


@pytest.fixture
async def build() -> AsyncIterator[Callable[..., Provider]]:
    built: list[Provider] = []

    def make(relay: dict[str, Any], **changes: Any) -> Provider:
        settings = ProvidersSettings.model_validate({"email": {**relay, **changes}})
        built.extend(build_providers(settings, clock=SystemClock()))
        return built[-1]

    yield make
    for provider in built:
        await provider.close()


@pytest.fixture
def mailbox(make_device: Callable[..., Device]) -> Device:
    return make_device(ProviderName.EMAIL, "bob@mail.example")


@pytest.fixture
def notification(make_notification: Callable[..., Notification]) -> Notification:
    now = SystemClock().now()
    made = make_notification(title="Grüße", body="It has left", unsubscribe="https://u.example/x")
    return msgspec.structs.replace(made, created_at=now, expires_at=now + timedelta(hours=1))


@pytest.fixture
def received(simulators: Simulators, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The mails as they came over the wire."""
    mails: list[bytes] = []
    take = simulators.smtp.handle_DATA

    async def keep(server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mails.append(envelope.content)
        return await take(server, session, envelope)

    monkeypatch.setattr(simulators.smtp, "handle_DATA", keep)  # the server's own hook, not a part under test
    return mails


async def test_mail_arrives_over_tls_after_the_login(
    build: Callable[..., Provider],
    relay: dict[str, Any],
    simulators: Simulators,
    notification: Notification,
    mailbox: Device,
) -> None:
    assert isinstance(await build(relay).send(notification, mailbox, now=SystemClock().now()), Accepted)
    (item,) = simulators.outbox.items()
    assert (item.address, item.title, item.notification_id) == ("bob@mail.example", "Grüße", notification.id)
    assert item.headers["list-unsubscribe"] == "<https://u.example/x>"
    assert item.headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


async def test_wrong_password_pauses_and_nothing_is_lost(  # N-13
    build: Callable[..., Provider],
    relay: dict[str, Any],
    simulators: Simulators,
    notification: Notification,
    mailbox: Device,
) -> None:
    outcome = await build(relay, password="wrong").send(notification, mailbox, now=SystemClock().now())
    assert isinstance(outcome, ConfigPause)
    assert "535" in outcome.reason
    assert simulators.outbox.items() == []


async def test_a_relay_that_wants_a_login_and_gets_none_pauses(
    build: Callable[..., Provider], relay: dict[str, Any], notification: Notification, mailbox: Device
) -> None:
    outcome = await build(relay, username="", password="").send(notification, mailbox, now=SystemClock().now())
    assert isinstance(outcome, ConfigPause)
    assert "530" in outcome.reason


async def test_certificate_of_somebody_else_gets_neither_password_nor_mail(
    build: Callable[..., Provider],
    relay: dict[str, Any],
    simulators: Simulators,
    notification: Notification,
    mailbox: Device,
    ca_file: str,
) -> None:
    for changes in ({"ca_file": ""}, {"ca_file": ca_file}, {"url": relay["url"].replace("127.0.0.1", "127.0.0.2")}):
        outcome = await build(relay, **changes).send(notification, mailbox, now=SystemClock().now())
        assert isinstance(outcome, Retry), changes
    assert simulators.statistics()["email"].calls == 0


async def test_relay_without_starttls_pauses_instead_of_speaking_in_clear(
    build: Callable[..., Provider], simulators: Simulators, notification: Notification, mailbox: Device
) -> None:
    bare = {**simulators.relays["starttls"], "url": f"smtp://127.0.0.1:{simulators.smtp.port}"}
    outcome = await build(bare).send(notification, mailbox, now=SystemClock().now())
    assert isinstance(outcome, ConfigPause)
    assert simulators.statistics()["email"].calls == 0


async def test_faults_over_tls_are_told_apart(  # R12
    build: Callable[..., Provider],
    relay: dict[str, Any],
    simulators: Simulators,
    notification: Notification,
    mailbox: Device,
) -> None:
    provider = build(relay)
    for rule, expected in (
        (Rule(Respond(451, body="4.7.1 greylisted"), provider="email", nth=1), Retry),
        (Rule(CloseConnection(), provider="email", first=2), Retry),  # a rested connection that is gone is replaced once
        (Rule(CloseConnection(), provider="email", nth=1, taken=True), Ambiguous),
    ):
        simulators.faults.set([rule])
        assert isinstance(await provider.send(notification, mailbox, now=SystemClock().now()), expected)
        assert isinstance(await provider.send(notification, mailbox, now=SystemClock().now()), Accepted)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
async def test_mail_is_signed_where_the_relay_does_not(
    build: Callable[..., Provider],
    simulators: Simulators,
    received: list[bytes],
    notification: Notification,
    mailbox: Device,
    kind: str,
) -> None:
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    provider = build(simulators.relays["starttls"], dkim_selector="s1", dkim_private_key=pem)
    assert isinstance(await provider.send(notification, mailbox, now=SystemClock().now()), Accepted)
    (raw,) = received
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    tags = dict(tag.strip().partition("=")[::2] for tag in mail["DKIM-Signature"].split(";"))
    assert (tags["a"], tags["d"], tags["s"]) == (f"{kind}-sha256", "simulator.test", "s1")
    assert mail["Subject"] == "Grüße"
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().strip() == "It has left"
