"""The mail relay, by the standard library's client and by aiosmtplib."""

import asyncio
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest

from loadtest.simulators.faults import CloseConnection, Delay, Respond, Rule, Silence, SplitBody
from loadtest.simulators.suite import Simulators


def make_mail(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "Grüße"
    mail["From"] = "heliograph <heliograph@simulator.test>"
    mail["To"] = "alice@example.test"
    mail["Message-ID"] = "<n1.device@simulator.test>"
    for name, value in headers.items():
        del mail[name.replace("_", "-")]
        mail[name.replace("_", "-")] = value
    mail.set_content("Text ü\n")
    mail.add_alternative("<p>Html</p>\n", subtype="html")
    return mail


@pytest.fixture
def send(sims: Simulators) -> Callable[..., Any]:
    """Send one mail through smtplib, in a thread."""

    def perform(mail: EmailMessage, recipients: tuple[str, ...]) -> dict[str, tuple[int, bytes]]:
        port = int(sims.providers["email"]["url"].rpartition(":")[2])
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            return client.send_message(mail, "b@bounce.test", recipients)

    async def call(*recipients: str, mail: EmailMessage | None = None) -> dict[str, tuple[int, bytes]]:
        try:
            return await asyncio.to_thread(perform, mail or make_mail(), recipients)
        except smtplib.SMTPRecipientsRefused as exc:
            return exc.recipients

    return call


async def test_a_mail_is_parsed_and_recorded(sims: Simulators, send: Callable[..., Any]) -> None:
    assert await send("alice@example.test") == {}
    (item,) = sims.outbox.items()
    assert (item.provider, item.address, item.title, item.body) == ("email", "alice@example.test", "Grüße", "Text ü")
    assert (item.notification_id, item.html) == ("n1", "<p>Html</p>")
    assert item.headers["from"] == "heliograph <heliograph@simulator.test>"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Notification_Id": "n2"}, "n2"),
        ({"Message_ID": "<n3@simulator.test>"}, "n3"),
        ({"Message_ID": "nonsense"}, "nonsense"),
    ],
)
async def test_where_the_notification_id_stands(
    sims: Simulators, send: Callable[..., Any], headers: dict[str, str], expected: str
) -> None:
    await send("a@example.test", mail=make_mail(**headers))
    assert sims.outbox.items()[0].notification_id == expected


async def test_a_mail_that_holds_no_text(sims: Simulators, send: Callable[..., Any]) -> None:
    mail = EmailMessage()
    mail.add_attachment(b"\x00", maintype="application", subtype="octet-stream")
    await send("a@example.test", mail=mail)
    (item,) = sims.outbox.items()
    assert (item.title, item.body, item.html, item.notification_id) == ("", "", "", "")


async def test_an_unknown_charset_is_left_unread(sims: Simulators, send: Callable[..., Any]) -> None:
    mail = EmailMessage()
    mail["Subject"] = "S"
    mail["Content-Type"] = "text/plain; charset=martian"
    mail.set_payload("x")
    await send("a@example.test", mail=mail)
    assert (sims.outbox.items()[0].title, sims.outbox.items()[0].body) == ("S", "")


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [("unregistered@x.test", 550, b"5.1.1"), ("busy@x.test", 421, b"4.3.2"), ("refused@x.test", 554, b"5.7.1")],
)
async def test_fates(sims: Simulators, send: Callable[..., Any], address: str, status: int, code: bytes) -> None:
    refused = await send(address)
    assert refused[address][0] == status
    assert refused[address][1].startswith(code)
    assert len(sims.outbox) == 0
    assert bool(await send(address)) == (address != "busy@x.test")


async def test_recipients_of_one_mail_have_their_own_fates(sims: Simulators, send: Callable[..., Any]) -> None:
    assert list(await send("a@x.test", "unregistered@x.test", "b@x.test")) == ["unregistered@x.test"]
    assert [item.address for item in sims.outbox.items()] == ["a@x.test", "b@x.test"]


async def test_an_asynchronous_client_gets_through(sims: Simulators) -> None:
    port = int(sims.providers["email"]["url"].rpartition(":")[2])
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False, timeout=10) as client:
        for address in ("a@x.test", "b@x.test"):
            refused, _ = await client.send_message(make_mail(), sender="s@x.test", recipients=[address])
            assert refused == {}
    assert len(sims.outbox) == 2


async def test_a_mail_beyond_ten_mebibytes(sims: Simulators, send: Callable[..., Any]) -> None:
    mail = EmailMessage()
    mail.set_content("\n".join(["x" * 76] * 150_000))
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        await send("a@x.test", mail=mail)
    assert caught.value.smtp_code == 552
    assert len(sims.outbox) == 0


# -- faults


async def met_fault(sims: Simulators) -> None:
    """Wait until the relay has met a fault: it leaves nothing else to wait for."""
    async with asyncio.timeout(10):
        while not sims.statistics()["email"].faults:  # noqa: ASYNC110 (counters announce nothing)
            await asyncio.sleep(0)


async def test_respond_at_the_recipient(sims: Simulators, send: Callable[..., Any]) -> None:
    sims.faults.set([Rule(Respond(452, "4.2.2 Mailbox full"), provider="email", first=1)])
    assert await send("a@x.test") == {"a@x.test": (452, b"4.2.2 Mailbox full")}
    assert await send("a@x.test") == {}
    assert len(sims.outbox) == 1


async def test_respond_after_the_final_dot_though_taken(sims: Simulators, send: Callable[..., Any]) -> None:
    sims.faults.set([Rule(Respond(421, body="4.3.2 Going down"), taken=True)])
    with pytest.raises(smtplib.SMTPDataError) as caught:
        await send("a@x.test")
    assert caught.value.smtp_code == 421
    assert len(sims.outbox) == 1


@pytest.mark.parametrize("taken", [True, False])
async def test_close(sims: Simulators, send: Callable[..., Any], taken: bool) -> None:
    """Dropped after the final dot with the mail kept: whoever sends it again sends it twice."""
    sims.faults.set([Rule(CloseConnection(), first=1, taken=taken)])
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        await send("a@x.test")
    assert len(sims.outbox) == taken
    assert await send("a@x.test") == {}


async def test_faults_without_meaning_for_mail_change_nothing(sims: Simulators, send: Callable[..., Any]) -> None:
    sims.faults.set([Rule(SplitBody(1)), Rule(Delay(0.001))])
    assert await send("a@x.test") == {}


async def test_delay(sims: Simulators, send: Callable[..., Any]) -> None:
    sims.faults.set([Rule(Delay(0.001)), Rule(Delay(0.001), taken=True)])
    assert await send("a@x.test") == {}
    assert len(sims.outbox) == 1


async def test_silence_ends_with_the_simulators(sims: Simulators) -> None:
    sims.faults.set([Rule(Silence())])
    port = int(sims.providers["email"]["url"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"EHLO x\r\nMAIL FROM:<s@x.test>\r\nRCPT TO:<a@x.test>\r\n")
    await met_fault(sims)
    await sims.__aexit__(None, None, None)
    try:
        answers = await reader.read()
    except ConnectionError:
        answers = b""
    assert b"2.1.5" not in answers
    writer.close()
