"""The pool against a real SMTP server: use, rest, refusals, and ends at every stage."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from config.clock import ManualClock
from pushers.providers import errors
from pushers.providers.smtp_pool import SmtpPool, SmtpRelay, SmtpReply, SmtpStatistics

MAIL = b"Subject: x\r\n\r\n.dot\r\n"


class Relay:
    """Hooks of the server: keeps mails, counts connections and commands, and ends as it is told."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.connections: list[asyncio.Transport] = []
        self.commands: list[str] = []
        self.on_mail: Callable[[asyncio.Transport], str] = lambda _: "250 OK"
        self.on_recipient: Callable[[asyncio.Transport], str] = lambda _: "250 OK"
        self.on_content: Callable[[asyncio.Transport], str] = lambda _: "250 2.0.0 queued as 1"
        self.gate: asyncio.Event | None = None
        self.most_open = 0
        self._open = 0
        self.lost = asyncio.Event()
        self.got_content = asyncio.Event()

    async def handle_MAIL(self, server: Any, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:
        envelope.mail_from = address
        return self.on_mail(server.transport)

    async def handle_RCPT(self, server: Any, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.on_recipient(server.transport)

    async def handle_DATA(self, server: Any, _session: Session, envelope: Envelope) -> str:
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        self.got_content.set()
        if self.gate is not None:
            await self.gate.wait()
        self._open -= 1
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.mail_from or "", envelope.rcpt_tos, envelope.content))
        return self.on_content(server.transport)

    async def handle_NOOP(self, *_: Any) -> str:
        self.commands.append("NOOP")
        return "250 OK"

    async def handle_RSET(self, *_: Any) -> str:
        self.commands.append("RSET")
        return "250 OK"

    async def handle_QUIT(self, *_: Any) -> str:
        self.commands.append("QUIT")
        return "221 Bye"


class Connection(SMTP):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.event_handler.connections.append(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.lost.set()


class Server:
    """A listener and its hooks."""

    def __init__(self, relay: Relay, listener: asyncio.Server) -> None:
        self.relay = relay
        self.port: int = listener.sockets[0].getsockname()[1]

    def pool(self, clock: ManualClock, *, connections: int = 2, **options: Any) -> SmtpPool:
        given = {"tls": "none", "context": None, "local_name": "shop.example", **options}
        return SmtpPool(SmtpRelay("127.0.0.1", self.port, **given), clock, connections=connections)


@pytest.fixture
async def open_server() -> AsyncIterator[Callable[..., Any]]:
    listeners: list[asyncio.Server] = []
    relays: list[Relay] = []

    async def open_(*, tls: ssl.SSLContext | None = None, **options: Any) -> Server:
        relay = Relay()
        relays.append(relay)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Connection(relay, **options), "127.0.0.1", 0, ssl=tls)
        listeners.append(listener)
        return Server(relay, listener)

    yield open_
    for listener in listeners:
        listener.close()
    for relay in relays:
        for transport in relay.connections:
            transport.abort()


@pytest.fixture
async def relay_server(open_server: Callable[..., Any]) -> Server:
    opened: Server = await open_server()
    return opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def pool(relay_server: Server, clock: ManualClock) -> AsyncIterator[SmtpPool]:
    pool = relay_server.pool(clock)
    yield pool
    await pool.close()


async def deliver(pool: SmtpPool, timeout_s: float = 5) -> SmtpReply:
    return await pool.deliver("news@shop.example", "bob@mail.example", MAIL, timeout_s=timeout_s)


async def test_mail_arrives_whole(relay_server: Server, pool: SmtpPool) -> None:
    assert await deliver(pool) == SmtpReply("data", 250, "2.0.0 queued as 1")
    assert relay_server.relay.mails == [("news@shop.example", ["bob@mail.example"], MAIL)]
    assert pool.statistics() == SmtpStatistics(busy=0, idle=1)


async def test_connection_is_used_again(relay_server: Server, pool: SmtpPool, clock: ManualClock) -> None:
    for _ in range(3):
        await deliver(pool)
        clock.move(19)
    assert len(relay_server.relay.connections) == 1
    assert relay_server.relay.commands == []


async def test_connections_are_bounded_and_shared(relay_server: Server, pool: SmtpPool) -> None:
    relay_server.relay.gate = asyncio.Event()
    mails = [asyncio.ensure_future(deliver(pool)) for _ in range(6)]
    while relay_server.relay.most_open < 2:
        relay_server.relay.got_content.clear()
        await relay_server.relay.got_content.wait()
    assert pool.statistics().busy == 2
    relay_server.relay.gate.set()
    assert {reply.code for reply in await asyncio.gather(*mails)} == {250}
    assert relay_server.relay.most_open == 2
    assert len(relay_server.relay.connections) == 2


async def test_rested_connection_is_asked_whether_it_lives(relay_server: Server, pool: SmtpPool, clock: ManualClock) -> None:
    await deliver(pool)
    clock.move(20)
    await deliver(pool)
    assert relay_server.relay.commands == ["NOOP"]
    assert len(relay_server.relay.connections) == 1


async def test_old_connection_is_replaced_politely(relay_server: Server, pool: SmtpPool, clock: ManualClock) -> None:
    await deliver(pool)
    clock.move(60)
    await deliver(pool)
    assert relay_server.relay.commands == ["QUIT"]
    assert len(relay_server.relay.connections) == 2


async def test_hundred_mails_per_connection(relay_server: Server, pool: SmtpPool) -> None:
    for _ in range(101):
        await deliver(pool)
    assert len(relay_server.relay.connections) == 2


async def test_connection_lost_while_resting_costs_nothing(relay_server: Server, pool: SmtpPool) -> None:
    await deliver(pool)
    relay_server.relay.connections[0].abort()
    assert (await deliver(pool)).code == 250
    assert len(relay_server.relay.mails) == 2


async def test_connection_lost_at_first_command_is_replaced(relay_server: Server, pool: SmtpPool) -> None:
    await deliver(pool)

    def drop(transport: asyncio.Transport) -> str:
        relay_server.relay.on_mail = lambda _: "250 OK"
        transport.abort()
        return "250 OK"

    relay_server.relay.on_mail = drop
    assert (await deliver(pool)).code == 250
    assert len(relay_server.relay.connections) == 2
    assert len(relay_server.relay.mails) == 2


async def test_refusal_is_a_reply_and_the_connection_serves_on(relay_server: Server, pool: SmtpPool) -> None:
    relay_server.relay.on_recipient = lambda _: "550 5.1.1 unknown"
    assert await deliver(pool) == SmtpReply("recipient", 550, "5.1.1 unknown")
    relay_server.relay.on_recipient = lambda _: "250 OK"
    relay_server.relay.on_mail = lambda _: "550 5.7.1 not you"
    assert (await deliver(pool)).stage == "sender"
    relay_server.relay.on_mail = lambda _: "250 OK"
    relay_server.relay.on_content = lambda _: "554 5.7.1 spam"
    assert await deliver(pool) == SmtpReply("data", 554, "5.7.1 spam")
    relay_server.relay.on_content = lambda _: "250 OK"
    assert (await deliver(pool)).code == 250
    assert relay_server.relay.commands == ["RSET"] * 3
    assert len(relay_server.relay.connections) == 1


async def test_421_ends_the_connection_and_is_told(relay_server: Server, pool: SmtpPool) -> None:
    relay_server.relay.on_recipient = lambda _: "421 4.3.2 closing"
    assert await deliver(pool) == SmtpReply("recipient", 421, "4.3.2 closing")
    assert pool.statistics() == SmtpStatistics(busy=0, idle=0)


async def test_lost_after_the_content_is_unknown(relay_server: Server, pool: SmtpPool) -> None:
    def drop(transport: asyncio.Transport) -> str:
        transport.abort()
        return "250 OK"

    relay_server.relay.on_content = drop
    with pytest.raises(errors.Ambiguous):
        await deliver(pool)
    assert len(relay_server.relay.mails) == 1
    assert pool.statistics() == SmtpStatistics(busy=0, idle=0)


async def test_silence_after_the_content_is_unknown(relay_server: Server, pool: SmtpPool) -> None:
    relay_server.relay.gate = asyncio.Event()
    with pytest.raises(errors.Ambiguous):
        await deliver(pool, timeout_s=0.3)
    assert pool.statistics() == SmtpStatistics(busy=0, idle=0)


async def test_lost_before_the_content_is_not_sent(relay_server: Server, pool: SmtpPool) -> None:
    def drop(transport: asyncio.Transport) -> str:
        transport.abort()
        return "250 OK"

    relay_server.relay.on_recipient = drop
    with pytest.raises(errors.NotSent):
        await deliver(pool)


async def test_waiting_for_a_connection_ends_as_not_sent(relay_server: Server, clock: ManualClock) -> None:
    pool = relay_server.pool(clock, connections=1)
    relay_server.relay.gate = asyncio.Event()
    first = asyncio.ensure_future(deliver(pool))
    await relay_server.relay.got_content.wait()
    with pytest.raises(errors.NotSent):
        await deliver(pool, timeout_s=0.1)
    relay_server.relay.gate.set()
    assert (await first).code == 250
    await pool.close()


async def test_caller_that_goes_away_takes_its_connection_along(relay_server: Server, pool: SmtpPool) -> None:
    relay_server.relay.gate = asyncio.Event()
    mail = asyncio.ensure_future(deliver(pool))
    await relay_server.relay.got_content.wait()
    mail.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mail
    assert pool.statistics() == SmtpStatistics(busy=0, idle=0)
    relay_server.relay.gate.set()
    assert (await deliver(pool)).code == 250


async def test_nobody_listens(clock: ManualClock, unused_port: int) -> None:
    pool = SmtpPool(SmtpRelay("127.0.0.1", unused_port, "none", None), clock, connections=1)
    with pytest.raises(errors.ConnectFailed):
        await deliver(pool)


async def test_closing_says_goodbye_and_ends_what_is_under_way(relay_server: Server, clock: ManualClock) -> None:
    pool = relay_server.pool(clock)
    await deliver(pool)
    relay_server.relay.gate = asyncio.Event()
    relay_server.relay.got_content.clear()
    first, second = (asyncio.ensure_future(deliver(pool)) for _ in range(2))
    while pool.statistics().busy < 2 or relay_server.relay.most_open < 2:
        relay_server.relay.got_content.clear()
        await relay_server.relay.got_content.wait()
    await pool.close()
    for mail in (first, second):
        with pytest.raises(errors.Ambiguous):
            await mail
    await pool.close()
    with pytest.raises(errors.NotSent):
        await deliver(pool)
    assert pool.statistics() == SmtpStatistics(busy=0, idle=0)


async def test_resting_connection_is_told_goodbye(relay_server: Server, clock: ManualClock) -> None:
    pool = relay_server.pool(clock)
    await deliver(pool)
    await pool.close()
    assert relay_server.relay.commands == ["QUIT"]


# -- TLS and credentials


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def check_password(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=given.login == b"shop" and given.password == b"secret", handled=False)


async def test_implicit_tls(
    open_server: Callable[..., Any], server_context: ssl.SSLContext, ca_file: str, clock: ManualClock
) -> None:
    server = await open_server(tls=server_context)
    pool = server.pool(clock, tls="implicit", context=ssl.create_default_context(cafile=ca_file))
    assert (await deliver(pool)).code == 250
    await pool.close()


async def test_untrusted_certificate(
    open_server: Callable[..., Any], server_context: ssl.SSLContext, clock: ManualClock
) -> None:
    server = await open_server(tls=server_context)
    pool = server.pool(clock, tls="implicit", context=ssl.create_default_context())
    with pytest.raises(errors.ConnectFailed):
        await deliver(pool)
    assert not server.relay.mails


@pytest.mark.parametrize(("password", "code"), [("secret", 250), ("wrong", 535)])
async def test_starttls_and_password(
    open_server: Callable[..., Any],
    server_context: ssl.SSLContext,
    ca_file: str,
    clock: ManualClock,
    password: str,
    code: int,
) -> None:
    server = await open_server(tls_context=server_context, authenticator=check_password, auth_required=True)
    context = ssl.create_default_context(cafile=ca_file)
    pool = server.pool(clock, tls="starttls", context=context, username="shop", password=password)
    reply = await deliver(pool)
    assert (reply.code, reply.stage) == (code, "data" if code == 250 else "connect")
    await pool.close()


async def test_relay_without_starttls_gets_nothing(relay_server: Server, ca_file: str, clock: ManualClock) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    pool = relay_server.pool(clock, tls="starttls", context=context, username="shop", password="secret")
    with pytest.raises(errors.Misconfigured):
        await deliver(pool)
    assert not relay_server.relay.mails


def test_relay_hides_its_password() -> None:
    relay = SmtpRelay("mail.example", 587, "starttls", None, "shop", "secret")
    assert repr(relay) == "SmtpRelay('mail.example', 587, 'starttls')"
    assert issubclass(aiosmtplib.SMTPTimeoutError, OSError)  # what the pool's one `except` relies on
