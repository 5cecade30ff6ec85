"""A mail relay that keeps what it is given, on aiosmtpd: plain SMTP on loopback, and submission with TLS and a login.

Faults that make sense for mail: respond (its `body` or `reason` is the text), delay, silence, close. They are committed at
RCPT TO, or after the final dot for rules that say `taken`. Not modelled: bounces, and slow DATA.
"""

import asyncio
import logging
import re
import ssl
import warnings
from email import message_from_bytes
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage, MIMEPart
from email.policy import default
from functools import cache, lru_cache, partial
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from config.clock import Clock
from loadtest.simulators.exchange import ProviderName
from loadtest.simulators.fates import Fate, Fates, fate_of_word
from loadtest.simulators.faults import Action, Call, CloseConnection, Delay, FaultSchedule, Respond, Silence
from loadtest.simulators.handling import Tally
from loadtest.simulators.outbox import Outbox

__all__ = ["SmtpService"]

# aiosmtpd warns of what it does itself, and of TLS that it does not see.
logging.getLogger("mail.log").setLevel(logging.ERROR)

_LIMIT_BYTES: Final = 10 * 1024 * 1024
_KEPT_HEADERS: Final = frozenset(
    {
        "from",
        "to",
        "reply-to",
        "message-id",
        "date",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "auto-submitted",
        "references",
    }
)
# The library parses a header anew each time that it is looked at, a content type nine times for a mail of two parts. What a
# line reads as never changes: 0.15 of the processor time of reading such a mail, where the lines repeat in the next one.
_POLICY: Final = default.clone(header_factory=lru_cache(1024)(HeaderRegistry()))
_NAMED: Final = re.compile(rb"^X-Notification-Id: ([A-Za-z0-9._-]+)\r$", re.MULTILINE)
_FATES: Final = {
    Fate.GONE: (550, "5.1.1 The mailbox does not exist"),
    Fate.BUSY: (421, "4.3.2 Busy, try again later"),
    Fate.REFUSED: (554, "5.7.1 The message was refused by policy"),
}


class SmtpService:
    """The relay: its listeners, and the hooks that aiosmtpd calls for each connection.

    `open` listens without TLS for whoever comes, as a relay on the same machine does; `open_submission` with TLS (RFC 8314) for
    whoever logs in, on one port by STARTTLS and on another at once.
    """

    name: ProviderName = "email"

    def __init__(self, outbox: Outbox, faults: FaultSchedule, clock: Clock) -> None:
        self._outbox = outbox
        self._faults = faults
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()
        self.fates = Fates()
        self.tally = Tally()

    @property
    def port(self) -> int:
        """The port listened on without TLS."""
        return self.ports[0]

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports listened on: without TLS, by STARTTLS, with TLS at once."""
        return tuple(server.sockets[0].getsockname()[1] for server in self._servers)

    async def open(self, port: int) -> None:
        """Start listening; 0 takes a free port.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: _Connection(self, self._connections), "127.0.0.1", port))

    async def open_submission(self, ports: tuple[int, int], context: ssl.SSLContext, login: tuple[str, str]) -> None:
        """Start listening for those who log in, by STARTTLS and with TLS at once; 0 takes a free port.

        Raises:
            OSError: A port is taken.
        """
        checks = _LoginCheck(*login)

        def by_starttls() -> _Connection:
            return _Connection(self, self._connections, authenticator=checks, auth_required=True, tls_context=context)

        def at_once() -> _Connection:
            with warnings.catch_warnings():
                # It knows only of TLS that it has begun itself, and takes this for a login in clear.
                warnings.simplefilter("ignore")
                return _Connection(self, self._connections, authenticator=checks, auth_required=True, auth_require_tls=False)

        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(by_starttls, "127.0.0.1", ports[0]))
        self._servers.append(await loop.create_server(at_once, "127.0.0.1", ports[1], ssl=context))

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        for server in self._servers:
            await server.wait_closed()

    # -- aiosmtpd's hooks

    async def handle_RCPT(
        self, server: "_Connection", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        rule = self._faults.next(Call(self.name, address))
        if rule is not None:
            self.tally.fault()
            if not rule.taken:
                refusal = await self._misbehave(server, rule.action)
                if refusal is not None:
                    return refusal
            else:
                server.faults_after_data.append(rule.action)
        else:
            fate = self.fates.settle(address, fate_of_word(address))
            if fate in _FATES:
                status, text = _FATES[fate]
                self.tally.reply(status, text.partition(" ")[0])
                return f"{status} {text}"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: "_Connection", session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)  # asked for by leaving decode_data off
        self._record(envelope.content, envelope.rcpt_tos)
        for action in server.take_faults():
            refusal = await self._misbehave(server, action)
            if refusal is not None:
                return refusal
        return f"250 2.0.0 OK: queued as {self._clock.new_id().hex}"

    def _record(self, raw: bytes, addresses: list[str]) -> None:
        """Keep a mail for each address. A relay does not read it: where it plainly says which notification it is of, that is
        done when somebody asks."""
        named = _NAMED.search(raw, 0, raw.find(b"\r\n\r\n") + 2)
        read = cache(partial(_read, raw))
        notification_id = named[1].decode() if named else read()["notification_id"]
        for address in addresses:
            self._outbox.record_unread(self.name, address, notification_id, read)
            self.tally.reply(250, "")

    async def _misbehave(self, server: "_Connection", action: Action) -> str | None:
        """Commit a fault; None where the relay goes on as usual."""
        match action:
            case Respond(status=status, reason=reason, body=body):
                return f"{status} {body if body is not None else reason}"
            case Delay(seconds=seconds):
                await self._clock.sleep(seconds)
            case Silence():
                await server.closed.wait()
            case CloseConnection():
                server.abort()
                await server.closed.wait()
            case _:
                pass  # has no meaning for mail
        return None


class _LoginCheck:
    """Knows one user; called by aiosmtpd for each attempt."""

    def __init__(self, username: str, password: str) -> None:
        self._wanted = username.encode(), password.encode()

    def __call__(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        is_known = isinstance(given, LoginPassword) and (given.login, given.password) == self._wanted
        return AuthResult(success=is_known, handled=False)


class _Connection(SMTP):
    """One SMTP connection; it is registered while it lives, so that the listener can end it."""

    def __init__(self, service: SmtpService, connections: set["_Connection"], **options: Any) -> None:
        super().__init__(
            service,
            data_size_limit=_LIMIT_BYTES,
            enable_SMTPUTF8=True,
            hostname="mail.simulator.test",
            ident="ESMTP simulator",
            **options,
        )
        self._connections = connections
        self.faults_after_data: list[Action] = []
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self.closed.set()
        super().connection_lost(error)

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    def take_faults(self) -> list[Action]:
        """Hand over the faults that wait for the final dot."""
        faults, self.faults_after_data = self.faults_after_data, []
        return faults


def _read(raw: bytes) -> dict[str, Any]:
    """Parse a mail into the fields of an outbox item; what is missing or broken is left empty."""
    mail = message_from_bytes(raw, policy=_POLICY)
    assert isinstance(mail, EmailMessage)
    message_id = str(mail.get("Message-ID", "")).strip().strip("<>")
    return {
        "title": str(mail.get("Subject", "")),
        "body": _text(mail.get_body(("plain",))),
        "html": _text(mail.get_body(("html",))),
        # A Message-ID reads `<notification.target@domain>`.
        "notification_id": str(mail.get("X-Notification-Id", "")) or message_id.partition("@")[0].partition(".")[0],
        "headers": {
            name.lower(): str(_POLICY.header_fetch_parse(name, value))
            for name, value in mail.raw_items()
            if name.lower() in _KEPT_HEADERS
        },
    }


def _text(part: MIMEPart | None) -> str:
    if part is None:
        return ""
    try:
        return str(part.get_content()).strip()
    except (KeyError, LookupError):  # no handler for the content type, or an unknown charset
        return ""
