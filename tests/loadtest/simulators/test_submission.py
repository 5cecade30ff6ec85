"""The mail relay's ports with TLS and login, by the standard library's client."""

import asyncio
import smtplib
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtest.simulators.suite import Simulators

MAIL = "Subject: s\r\n\r\nbody\r\n"


def send(relay: dict[str, Any], *, password: str | None = None, ca_file: str | None = None, tls: bool = True) -> None:
    """Hand a mail in as the settings of a relay say."""
    address = urlsplit(relay["url"])
    context = ssl.create_default_context(cafile=relay["ca_file"] if ca_file is None else ca_file or None)
    assert address.hostname is not None
    if address.scheme == "smtps":
        client: smtplib.SMTP = smtplib.SMTP_SSL(address.hostname, address.port or 0, timeout=10, context=context)
    else:
        client = smtplib.SMTP(address.hostname, address.port or 0, timeout=10)
    with client:
        if address.scheme == "smtp" and tls:
            client.starttls(context=context)
        if password != "":
            client.login(relay["username"], password or relay["password"])
        client.sendmail("a@simulator.test", ["bob@mail.example"], MAIL)


@pytest.fixture(params=["starttls", "implicit"])
def relay(request: pytest.FixtureRequest, sims: Simulators) -> dict[str, Any]:
    return sims.relays[request.param]


async def test_mail_of_whoever_logs_in_is_taken(sims: Simulators, relay: dict[str, Any]) -> None:
    await asyncio.to_thread(send, relay)
    (item,) = sims.outbox.items()
    assert (item.provider, item.address, item.body) == ("email", "bob@mail.example", "body")


async def test_wrong_passwords_and_none_are_refused(sims: Simulators, relay: dict[str, Any]) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        await asyncio.to_thread(send, relay, password="wrong")
    assert refused.value.smtp_code == 535
    with pytest.raises(smtplib.SMTPSenderRefused) as unknown:
        await asyncio.to_thread(send, relay, password="")
    assert unknown.value.smtp_code == 530
    assert sims.outbox.items() == []


async def test_the_certificate_is_the_authoritys(relay: dict[str, Any]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(send, relay, ca_file="")


async def test_no_login_is_offered_without_tls(sims: Simulators) -> None:
    def log_in() -> None:
        send(sims.relays["starttls"], tls=False)

    with pytest.raises(smtplib.SMTPNotSupportedError):
        await asyncio.to_thread(log_in)


async def test_one_list_of_faults_and_counts_for_all_ports(sims: Simulators, relay: dict[str, Any]) -> None:
    await asyncio.to_thread(send, relay)
    assert sims.statistics()["email"].calls == 1
    assert len(set(sims.smtp.ports)) == 3
