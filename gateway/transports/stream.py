"""A client at the end of an HTTP response that never ends by itself: server-sent events and HTTP streaming.

What is written waits in a list until the response's task takes all of it at once; more than the outbound limit
waiting makes a client slow, a write that takes over a second ends it. A peer that takes nothing is cut off: it would keep
what was written last until TCP gives up. There is one task per such connection, because ASGI has it so: these transports
are for clients whose network lets no WebSocket through.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from gateway.node import Node
from gateway.protocol import disconnects
from gateway.protocol.codec import Codec
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.messages import DisconnectPush, Push
from gateway.session.session import Session
from gateway.transports.transport import Kind, Wire

__all__ = ["Message", "Receive", "Send", "StreamConnection", "StreamWire"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Refuse = Callable[[Disconnect], Awaitable[None]]

_WRITE_TIMEOUT_S: Final = 1.0


class StreamWire:
    """The protocol in the chunks of a response; plays `gateway.transports.transport.Wire`."""

    announces_ping = True

    def __init__(self, transport_name: str, codec: Codec, kind: Kind, *, before: bytes, after: bytes) -> None:
        """Make a wire whose messages stand between `before` and `after`."""
        self.transport_name, self.codec, self.kind = transport_name, codec, kind
        self.expects_pong = kind is Kind.EMULATED
        self._before, self._after = before, after
        self._is_text = after != b""
        self.ping_frame = self.frame((codec.ping,))

    def share(self, messages: list[bytes]) -> list[bytes]:
        return messages

    def frame(self, messages: Sequence[bytes]) -> bytes:
        if self._is_text:
            # A carriage return alone ends a line too: always in event streams (HTML, "Parsing an event stream"), and for many
            # a reader of lines. In JSON a raw one can only be white space between tokens.
            messages = [message.replace(b"\r", b"") for message in messages]
        return b"".join(self._before + message + self._after for message in messages)


class StreamConnection:
    """One response; plays `gateway.transports.transport.Transport` for its session."""

    __slots__ = (
        "_cut",
        "_ending",
        "_headers",
        "_is_cut",
        "_is_ended",
        "_node",
        "_pending",
        "_pending_bytes",
        "_session",
        "_wake",
        "address",
        "wire",
    )

    def __init__(
        self,
        node: Node,
        wire: StreamWire,
        headers: Mapping[str, str],
        cut: Callable[[], None] | None = None,
        *,
        address: str = "",
    ) -> None:
        """Make a connection; `cut` drops the one beneath it at once (None where the server offers no such thing)."""
        self._node, self._headers, self._cut = node, headers, cut
        self.address = address
        self.wire: Wire = wire
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._is_ended = self._is_cut = False
        self._ending = disconnects.CLOSED
        self._session: Session | None = None

    async def run(
        self, frame: bytes, receive: Receive, send: Send, opening: Sequence[Message] = (), refuse: Refuse | None = None
    ) -> None:
        """Serve the connection to its end.

        Args:
            frame: What the client said first.
            opening: What begins the response; sent before anything is done.
            refuse: Answers in place of the stream where connect fails; the opening then waits for connect.
        """
        session = self._session = self._node.open_session(self)
        watch = asyncio.create_task(self._watch(receive), name="stream.watch")  # owned here, cancelled below
        try:
            if refuse is None:
                await self._open(send, opening)
                session.receive(frame)
                await self._write_out(send)
            else:
                session.receive(frame)
                await self._wake.wait()
                if session.client.connected_at:
                    await self._open(send, opening)
                    await self._write_out(send)
                elif self._ending is not disconnects.CLOSED:
                    await refuse(self._ending)
            if self._is_cut:
                # The server must have seen it: a response that just stops is a fault to it, one whose peer has gone is not.
                await asyncio.wait((watch,))
        finally:
            watch.cancel()
            self._session = None
            self._is_ended = True
            self._node.close_session(session, self._ending.code)

    # What the session calls.

    def write(self, frame: bytes) -> None:
        if self._is_ended:
            return
        if not self._pending:
            self._wake.set()
        self._pending.append(frame)
        self._pending_bytes += len(frame)
        if self._pending_bytes > self._node.settings.client.queue_max_size:
            # Perhaps in the middle of a room; its members must not change there.
            asyncio.get_running_loop().call_soon(self._end_slow)

    def close(self, disconnect: Disconnect) -> None:
        if self._is_ended:
            return
        if disconnect is disconnects.SLOW:
            self._pending.clear()
        push = Push(disconnect=DisconnectPush(disconnect.code, disconnect.reason))
        self._pending.append(self.wire.frame((self.wire.codec.encode_push(push),)))
        self._ending = disconnect
        self._end()

    def abort(self) -> None:
        if self._cut is not None and not self._is_cut:
            self._is_cut = True
            self._cut()
        self._end()

    def pause_reading(self) -> None:
        """Nothing to do: what the client says comes in requests of their own, each bounded."""

    def resume_reading(self) -> None:
        """Nothing to do."""

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    # The inner works.

    def _end(self) -> None:
        self._is_ended = True
        self._wake.set()

    @staticmethod
    async def _open(send: Send, opening: Sequence[Message]) -> None:
        for message in opening:
            await send(message)

    async def _write_out(self, send: Send) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            chunk = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            is_last = self._is_ended
            try:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
            except TimeoutError:
                if not self._is_ended:  # else it was told to go already, and why
                    self._ending = disconnects.WRITE_ERROR
                self.abort()
                return
            if is_last:
                return

    async def _watch(self, receive: Receive) -> None:
        """See the peer go."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._end()

    def _end_slow(self) -> None:
        if self._session is not None:
            self._session.client.disconnect(disconnects.SLOW)
