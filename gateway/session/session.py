"""The commands of one client, in order: decoded, checked against its state, handled, answered.

A command that needs no I/O is done when `receive` returns. One that has to wait gets a task; meanwhile later commands
wait in a backlog, or run beside it up to `client.concurrency`. Commands that change what the client is (connect,
subscribe, refresh …) always run alone. A long backlog stops the reading of the socket, so that a hurried peer waits
instead of filling our memory; one that posts cannot be stopped, and ends when too much of it waits. Where a rate is set,
what comes faster is refused before it gets so far.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from broker.channels import UnknownNamespace
from broker.errors import BadInput, NotFound, PositionLost, Unavailable
from config.logs import get_logger
from gateway.protocol import disconnects, errors
from gateway.protocol.codec import CodecError
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError, Error
from gateway.protocol.messages import Command, Reply
from gateway.session.client import Client
from gateway.session.command_rate import Judge, Pace
from gateway.session.eager import step
from gateway.session.states import Event, State
from gateway.session.unanswered import Unanswered
from gateway.tallies import CommandTally
from gateway.tasks import Tasks
from gateway.transports.transport import Kind

__all__ = ["ORDERED", "Failed", "Handler", "Session", "Terms", "error_of"]

_log = get_logger()

Handler = Callable[[Client, Any, Callable[[Any], None]], Awaitable[None]]
# Told of a command that failed: whose, which, its request and why.
Failed = Callable[[Client, str, Any, Exception], None]

# In the order in which a command with several requests is read. Each has a handler of the same name.
REQUESTS: Final = (
    "connect",
    "subscribe",
    "unsubscribe",
    "publish",
    "presence",
    "presence_stats",
    "history",
    "rpc",
    "send",
    "refresh",
    "sub_refresh",
)
ORDERED: Final = frozenset({"connect", "subscribe", "unsubscribe", "refresh", "sub_refresh"})
_BACKLOG_PAUSES: Final = 128
_BACKLOG_RESUMES: Final = 32
_WAITING_MAX: Final = 20_000
_WAITING_MAX_BYTES: Final = 4 * 1024 * 1024
_FAULT: Final = Command(id=-1)  # stands in the backlog for a frame that could not be read to its end


class Terms(msgspec.Struct, frozen=True):
    """What the sessions of a node share: who handles which command, how many at once, how fast they come, and their tally."""

    handlers: Mapping[str, Handler]
    tasks: Tasks
    unanswered: Unanswered
    concurrency: int
    rate: Judge | None
    tally: CommandTally
    failed: Failed


class Session:
    """Reads a client's frames."""

    __slots__ = ("_backlog", "_is_alone", "_running", "_terms", "_waiting_bytes", "client")

    def __init__(self, client: Client, terms: Terms) -> None:
        self.client = client
        self._terms = terms
        self._backlog: deque[Command] | None = None
        self._running = 0
        self._is_alone = False
        self._waiting_bytes = 0  # of the frames whose commands wait; where the transport cannot be stopped

    def receive(self, frame: bytes) -> None:
        """Take one frame. Never raises: what is wrong with it ends in a reply or a disconnect."""
        client = self.client
        if client.is_refused:
            client.disconnect(disconnects.BAD_REQUEST)
            return
        try:
            for command in client.wire.codec.decode(frame):
                if not client.is_open or client.is_refused:
                    return  # the rest of this frame falls with it
                self._take(command)
        except CodecError:
            if client.is_open and not client.is_refused:
                self._take(_FAULT)
        if self._backlog and client.wire.kind is Kind.EMULATED:
            self._bound_waiting(self._backlog, len(frame))

    def _bound_waiting(self, backlog: deque[Command], size: int) -> None:
        self._waiting_bytes += size
        if len(backlog) > _WAITING_MAX or self._waiting_bytes > _WAITING_MAX_BYTES:
            self.client.disconnect(disconnects.TOO_MANY_REQUESTS)
            backlog.clear()

    def _take(self, command: Command) -> None:
        if _is_pong(command) and self.client.is_connected:
            # It overtakes the backlog: it answers for the connection, not for what waits. Pings set its rate.
            self._take_pong()
        elif self._terms.rate is not None and not self._is_in_pace(command, self._terms.rate):
            pass
        elif self._backlog or not self._may_start(command):
            self._put_off(command)
        else:
            self._start(command)

    def change_terms(self, terms: Terms) -> None:
        """Go on under other terms; what was counted under another rate of commands is forgotten."""
        self._terms = terms
        self.client.commands_until = 0.0

    def _is_in_pace(self, command: Command, rate: Judge) -> bool:
        """Count a command; refuse it where it comes too fast.

        While connect is under way nothing may be said before its reply, so what came with it is let through; only a flood
        ends there.
        """
        client = self.client
        match rate.judge(client):
            case Pace.RECKLESS:
                client.disconnect(disconnects.TOO_MANY_REQUESTS)
                return False
            case Pace.TOO_FAST if client.is_connected and command is not _FAULT:
                self._terms.tally.count_error(_kind(command) or "none", errors.TOO_MANY_REQUESTS.code)
                if command.id > 0:  # a `send` has no reply
                    client.reply(Reply(id=command.id, error=errors.TOO_MANY_REQUESTS))
                return False
        return True

    def _put_off(self, command: Command) -> None:
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(command)
        if len(self._backlog) == _BACKLOG_PAUSES:
            self.client.pause_reading()

    def _take_pong(self) -> None:
        try:
            self.client.take_pong()
        except DisconnectClient as exc:
            self.client.disconnect(exc.disconnect)

    def _may_start(self, command: Command) -> bool:
        if self._running == 0:
            return True
        if self._is_alone or self._running >= self._terms.concurrency:
            return False
        return command is not _FAULT and _kind(command) not in ORDERED

    def _start(self, command: Command) -> None:
        client = self.client
        if command is _FAULT:
            client.disconnect(disconnects.BAD_REQUEST)
            return
        if _is_pong(command) and client.is_connected:
            self._take_pong()
            return
        try:
            kind = self._check(command)
        except DisconnectClient as exc:
            client.disconnect(exc.disconnect)
            return
        self._terms.tally.count(kind)
        rest = step(self._handle(command.id, kind, getattr(command, kind)))
        if rest is not None:
            self._running += 1
            self._is_alone = kind in ORDERED
            self._terms.tasks.spawn(self._finish(rest), f"command.{kind}")

    def _check(self, command: Command) -> str:
        """Hold a command against the client's state; tells its kind.

        Raises:
            DisconnectClient: 3501, for whatever no SDK would send.
        """
        client = self.client
        is_connected = client.state is State.CONNECTED
        kind = _kind(command)
        if kind is None or _is_pong(command) or is_connected == (kind == "connect"):
            raise DisconnectClient(disconnects.BAD_REQUEST)
        if kind == "send":
            raise DisconnectClient(disconnects.NOT_AVAILABLE)  # nobody to hand it to
        return kind

    async def _handle(self, command_id: int, kind: str, request: Any) -> None:
        client = self.client

        def answer(result: Any) -> None:
            reply = Reply(id=command_id)
            setattr(reply, kind, result)
            client.reply(reply)

        try:
            await self._terms.handlers[kind](client, request, answer)
        except DisconnectClient as exc:
            self._terms.failed(client, kind, request, exc)
            client.disconnect(exc.disconnect)
        except Exception as exc:  # the edge of a command
            self._terms.failed(client, kind, request, exc)
            error = error_of(exc)
            self._terms.tally.count_error(kind, error.code)
            if error is errors.INTERNAL and not isinstance(exc, Unavailable):
                _log.exception("command.failed", command=kind, client=client.id)
            if client.wire.kind is Kind.UNIDIRECTIONAL:
                client.disconnect(self._terms.unanswered.disconnect_for(error))  # there are no replies
                return
            client.reply(Reply(id=command_id, error=error))
            if kind == "connect" and client.state is State.CONNECTING:
                client.move(Event.REFUSED)

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        finally:
            self._running -= 1
            self._is_alone = False
            self._work_off()

    def _work_off(self) -> None:
        """Start what waited and may start now."""
        backlog, client = self._backlog, self.client
        if not backlog:
            return
        was_paused = len(backlog) >= _BACKLOG_RESUMES
        while backlog and client.is_open and not client.is_refused and self._may_start(backlog[0]):
            self._start(backlog.popleft())
        if not client.is_open or client.is_refused:
            backlog.clear()
        if not backlog:
            self._waiting_bytes = 0
        if was_paused and len(backlog) < _BACKLOG_RESUMES:
            client.resume_reading()


def _is_pong(command: Command) -> bool:
    return command.id <= 0 and command.send is None and command is not _FAULT


def _kind(command: Command) -> str | None:
    for name in REQUESTS:
        if getattr(command, name) is not None:
            return name
    return None


def error_of(exc: Exception) -> Error:
    """Tell the code that stands for an exception; what is not listed is a bug of ours and says nothing of itself."""
    match exc:
        case ClientError():
            return exc.error
        case UnknownNamespace():
            return errors.UNKNOWN_CHANNEL
        case PositionLost():
            return errors.UNRECOVERABLE_POSITION
        case BadInput():
            return ClientError(errors.BAD_REQUEST, str(exc)).error
        case NotFound():
            return Error(errors.METHOD_NOT_FOUND.code, str(exc))
        case _:
            return errors.INTERNAL
