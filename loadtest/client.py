"""One subscriber, as lean as it can be: thousands fit in a process, so that the swarm is not what is measured.

A client is an `asyncio.Protocol` without task or timer. It sends the upgrade by hand, then connect and subscribe in one
frame as the official clients do, and from then on counts: publications are occurrences of their key in a frame, which
is exact because a payload of ours never holds that key. Only clients of the sample look into the payloads.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec

from loadtest.frames import ACCEPT, CLOSE, KEY, PING, PONG, TEXT, BadFrame, FrameParser, close_code, encode_frame
from loadtest.sequences import SequenceCheck
from loadtest.stamps import STAMP
from loadtest.tally import Tally
from loadtest.target import Target

__all__ = ["SwarmClient", "make_hello", "make_upgrade"]

_PUBLICATION = b'"pub"'
_PONG_FRAME = encode_frame(TEXT, b"{}")
_CLOSE_FRAME = encode_frame(CLOSE, (1000).to_bytes(2, "big"))


class _Problem(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Reply(msgspec.Struct, frozen=True):
    """The parts of a reply that decide whether a client is subscribed (PROTOCOL: connect has id 1, subscribe id 2)."""

    id: int = 0
    error: _Problem | None = None


_reply: msgspec.json.Decoder[_Reply] = msgspec.json.Decoder(_Reply)


def make_upgrade(target: Target) -> bytes:
    """Write the request that every client opens with."""
    return (
        f"GET {target.prefix}/connection/websocket HTTP/1.1\r\nHost: {target.authority}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def make_hello(channel: str, token: str) -> bytes:
    """Build the frame of connect and subscribe; an empty token is left out."""
    connect: dict[str, Any] = {"token": token} if token else {}
    commands = ({"id": 1, "connect": connect}, {"id": 2, "subscribe": {"channel": channel}})
    return encode_frame(TEXT, b"\n".join(msgspec.json.encode(command) for command in commands))


class SwarmClient(asyncio.Protocol):
    """A subscriber of one channel.

    Args:
        settled: Called once, with this client: it is subscribed, or `failure` says why it never will be.
        check: Given to clients of the sample.
    """

    __slots__ = (
        "_head",
        "_hello",
        "_parser",
        "_receive",
        "_settled",
        "_transport",
        "_upgrade",
        "check",
        "closing",
        "failure",
        "received",
        "subscribed_ns",
        "tally",
        "upgraded_ns",
    )

    def __init__(
        self, tally: Tally, upgrade: bytes, hello: bytes, settled: Callable[["SwarmClient"], None], check: SequenceCheck | None
    ) -> None:
        self.tally = tally
        self.check = check
        self.received = 0
        self.failure = ""
        self.closing = ""
        self.upgraded_ns = 0
        self.subscribed_ns = 0
        self._upgrade, self._hello, self._settled = upgrade, hello, settled
        self._head = b""
        self._parser = FrameParser()
        self._receive: Callable[[bytes], None] = self._receive_upgrade
        self._transport: asyncio.WriteTransport | None = None

    @property
    def is_subscribed(self) -> bool:
        """Whether it is subscribed and still connected."""
        return self.subscribed_ns > 0 and not self.closing

    def leave(self) -> None:
        """Close the connection (RFC 6455 §7.1.2, without awaiting the answer); it counts as no fault."""
        if self._transport is not None:
            self._transport.write(_CLOSE_FRAME)
            self._transport.close()

    def fail(self, reason: str) -> None:
        """Give up before being subscribed."""
        if not self.subscribed_ns and not self.failure:
            self.failure = reason
            self._settled(self)
        self._abort()

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance
        self._transport.write(self._upgrade)

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.subscribed_ns:
            self.fail(self.closing or (f"connection lost: {exc}" if exc else "closed by the server without a code"))
            return
        self.tally.connected -= 1
        self.tally.add("closed")
        self.closing = self.closing or (f"connection lost: {exc}" if exc else "closed without a code")

    # The three stages of a client's life, in order

    def _receive_upgrade(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        self._head = b""
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if not status.startswith("HTTP/1.1 101"):
            self.fail(f"upgrade refused: {status.partition(' ')[2] or status}")
            return
        if ACCEPT.encode() not in head:
            self.fail("upgrade answered with a wrong Sec-WebSocket-Accept")
            return
        self.upgraded_ns = time.monotonic_ns()
        self._receive = self._receive_greeting
        if self._transport is not None:
            self._transport.write(self._hello)
        self._hello = b""
        if rest:
            self._receive(rest)

    def _receive_greeting(self, data: bytes) -> None:
        for opcode, payload in self._parse(data):
            if self._receive == self._receive_greeting and opcode == TEXT:
                for line in payload.split(b"\n"):
                    self._take_reply(line)
            if self.subscribed_ns or opcode != TEXT:
                self._take_frame(opcode, payload)

    def _receive_frames(self, data: bytes) -> None:
        if start := self._parser.text_start(data):
            self.tally.received_bytes += len(data)
            self._take_text(data, start)  # unsliced: the header's bytes never look like a key
            return
        for opcode, payload in self._parse(data):
            self._take_frame(opcode, payload)

    # Inside a stage

    def _parse(self, data: bytes) -> list[tuple[int, bytes]]:
        self.tally.received_bytes += len(data)
        try:
            return self._parser.feed(data)
        except BadFrame as exc:
            self.closing = f"protocol broken: {exc}"
            self._abort()
            return []

    def _take_reply(self, line: bytes) -> None:
        try:
            reply = _reply.decode(line)
        except msgspec.DecodeError:
            self.fail("a reply that is no JSON")
            return
        if reply.error is not None:
            command = "connect" if reply.id == 1 else "subscribe"
            self.fail(f"{command}: error {reply.error.code} {reply.error.message}")
        elif reply.id == 2 and not self.failure:
            self.subscribed_ns = time.monotonic_ns()
            self.tally.connected += 1
            self._receive = self._receive_frames
            self._settled(self)

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._take_text(payload, 0)
        elif opcode == PING:
            self._write(encode_frame(PONG, payload))
        elif opcode == CLOSE:
            self.closing = f"{close_code(payload)} {payload[2:].decode('utf-8', 'replace')}".strip()
            self._abort()

    def _take_text(self, payload: bytes, start: int) -> None:
        count = payload.count(_PUBLICATION)
        if count:
            self.received += count
            self.tally.deliveries += count
            if self.check is not None:
                self._read_stamps(payload)
        # A ping may share its frame with publications; no other message begins like that.
        if payload.startswith(b"{}", start) or b"\n{}" in payload:
            self._write(_PONG_FRAME)

    def _read_stamps(self, payload: bytes) -> None:
        assert self.check is not None
        now_ns = time.time_ns()
        for time_ns, source, number in STAMP.findall(payload):
            self.tally.latency.record(now_ns - int(time_ns))
            self.check.see(int(source), int(number))

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)
