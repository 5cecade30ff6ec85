"""Connections to a mail relay, shared by all mails: opened when needed, used again while they are good, closed politely.

aiosmtplib's client is one connection and no pool. A connection serves one mail at a time, at most a hundred of them or a
minute, and is asked whether it still lives when it has rested.
"""

import asyncio
import ssl
from typing import Final, Literal

import aiosmtplib
import msgspec

from config.clock import Clock
from pushers.providers import errors

__all__ = ["SmtpPool", "SmtpRelay", "SmtpReply", "SmtpStatistics", "Stage"]

Stage = Literal["connect", "sender", "recipient", "data"]

_CONNECT_TIMEOUT_S: Final = 10.0
_COMMAND_TIMEOUT_S: Final = 30.0
_DATA_TIMEOUT_S: Final = 120.0
_QUIT_TIMEOUT_S: Final = 2.0
_MAX_MESSAGES: Final = 100
_MAX_AGE_S: Final = 60.0
_MAX_REST_S: Final = 20.0


class SmtpRelay(msgspec.Struct, frozen=True):
    """Where mails are handed in. `context` verifies its certificate; None where TLS is not spoken."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "none"]
    context: ssl.SSLContext | None
    username: str = ""
    password: str = ""
    local_name: str = "localhost"

    def __repr__(self) -> str:
        return f"SmtpRelay({self.host!r}, {self.port}, {self.tls!r})"


class SmtpReply(msgspec.Struct, frozen=True):
    """The reply that decided: to which command, its code and text (RFC 5321 §4.2)."""

    stage: Stage
    code: int
    text: str = ""


class SmtpStatistics(msgspec.Struct, frozen=True):
    """`busy` connections carry a mail, `idle` ones wait for the next."""

    busy: int
    idle: int


class _Connection:
    """One connection and how much it has been used."""

    def __init__(self, client: aiosmtplib.SMTP, opened_at: float) -> None:
        self.client = client
        self.opened_at = opened_at
        self.rests_since = opened_at
        self.messages = 0


class SmtpPool:
    """At most so many connections to one relay; mails beyond that wait within their own timeout."""

    def __init__(self, relay: SmtpRelay, clock: Clock, *, connections: int) -> None:
        self._relay = relay
        self._clock = clock
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._is_closed = False

    def statistics(self) -> SmtpStatistics:
        """Count the connections."""
        return SmtpStatistics(len(self._busy), len(self._idle))

    async def deliver(self, sender: str, recipient: str, content: bytes, *, timeout_s: float) -> SmtpReply:
        """Hand a mail in, to one recipient, and give the reply that decided.

        Raises:
            ConnectFailed, NotSent: The relay does not have it.
            Ambiguous: The content was on its way when the connection or the time ended.
            Misconfigured: The relay lacks what the settings ask for (TLS, authentication).
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout_s), self._free:
                return await self._deliver(sender, recipient, content, progress)
        except (aiosmtplib.SMTPException, OSError) as exc:  # TimeoutError is an OSError
            raise _explain(exc, progress) from exc

    async def close(self) -> None:
        """Say goodbye on resting connections and cut off those at work. May come twice."""
        self._is_closed = True
        for connection in list(self._busy):
            connection.client.close()
        resting, self._idle = self._idle, []
        await asyncio.gather(*(_quit(connection.client) for connection in resting))

    async def _deliver(self, sender: str, recipient: str, content: bytes, progress: "_Progress") -> SmtpReply:
        rested = await self._take()
        if rested is not None:
            try:
                return await self._talk(rested, sender, recipient, content, progress)
            except aiosmtplib.SMTPServerDisconnected:
                if progress.stage == "data":
                    raise
                # It was closed while it rested; nothing has left, so that a new one may carry the mail.
        fresh = await self._open()
        if isinstance(fresh, SmtpReply):
            return fresh
        return await self._talk(fresh, sender, recipient, content, progress)

    async def _talk(
        self, connection: _Connection, sender: str, recipient: str, content: bytes, progress: "_Progress"
    ) -> SmtpReply:
        """Carry one mail. Whatever ends it otherwise than by a reply costs the connection."""
        client, is_whole = connection.client, False
        self._busy.add(connection)
        try:
            try:
                progress.stage = "sender"
                await client.mail(sender, timeout=_COMMAND_TIMEOUT_S)
                progress.stage = "recipient"
                await client.rcpt(recipient, timeout=_COMMAND_TIMEOUT_S)
                # The library tells not on which side of the final dot a connection was lost, so both count as unknown.
                progress.stage = "data"
                done = await client.data(content, timeout=_DATA_TIMEOUT_S)
                is_whole = True
                return SmtpReply("data", done.code, done.message)
            except aiosmtplib.SMTPResponseException as exc:
                is_whole = await _is_reset(client)
                return SmtpReply(progress.stage, exc.code, exc.message)
        finally:
            self._busy.discard(connection)
            if is_whole and not self._is_closed:
                connection.messages += 1
                connection.rests_since = self._clock.monotonic()
                self._idle.append(connection)
            else:
                client.close()

    async def _take(self) -> _Connection | None:
        """Take a resting connection that may serve another mail; those past their time are closed."""
        while self._idle:
            connection, now = self._idle.pop(), self._clock.monotonic()
            if not connection.client.is_connected:
                continue
            if connection.messages >= _MAX_MESSAGES or now - connection.opened_at >= _MAX_AGE_S:
                await _quit(connection.client)
            elif now - connection.rests_since < _MAX_REST_S or await _is_alive(connection.client):
                return connection
        return None

    async def _open(self) -> _Connection | SmtpReply:
        relay = self._relay
        if self._is_closed:
            raise aiosmtplib.SMTPServerDisconnected("closed")
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",
            tls_context=relay.context,
            username=relay.username or None,
            password=relay.password or None,
            local_hostname=relay.local_name,
            timeout=_CONNECT_TIMEOUT_S,
        )
        try:
            await client.connect()
        except aiosmtplib.SMTPResponseException as exc:
            client.close()
            return SmtpReply("connect", exc.code, exc.message)
        except BaseException:
            client.close()
            raise
        return _Connection(client, self._clock.monotonic())


class _Progress:
    """How far a mail has come: what is known of it when it ends without a reply."""

    __slots__ = ("stage",)

    def __init__(self) -> None:
        self.stage: Stage = "connect"


def _explain(error: Exception, progress: _Progress) -> errors.TransportError:
    """Translate what ended a mail by its kind and by how far it had come."""
    cause = "no answer in time" if isinstance(error, TimeoutError) else "connection lost"
    if progress.stage == "data":
        return errors.Ambiguous(cause)
    if isinstance(error, aiosmtplib.SMTPConnectError):
        return errors.ConnectFailed("no connection")
    if isinstance(error, TimeoutError | ConnectionError | OSError):
        return errors.NotSent(cause)
    # What remains is the library's own word: no STARTTLS, or no way to authenticate.
    return errors.Misconfigured("the relay offers no TLS or no authentication that the settings ask for")


async def _is_reset(client: aiosmtplib.SMTP) -> bool:
    """Make a connection ready for the next mail after a refusal; False when it is gone, as after 421."""
    try:
        await client.rset(timeout=_QUIT_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


async def _is_alive(client: aiosmtplib.SMTP) -> bool:
    try:
        await client.noop(timeout=_QUIT_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError):
        client.close()
        return False
    return True


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit(timeout=_QUIT_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError):
        pass  # it had gone already
    finally:
        client.close()
