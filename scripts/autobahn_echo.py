"""An echo server of the gateway's own WebSocket transport, for the Autobahn test suite.

    .venv/bin/python scripts/autobahn_echo.py

Everything beneath the session is the product's: handshake, frames, compression, limits, closing. Only the session is
another: it gives every message back as it came, text as text and bytes as bytes. Prints its port and serves until ended.
"""

import asyncio
from typing import Any, Final

import uvloop
from websockets.frames import Frame, Opcode

from broker.engines.memory.engine import MemoryEngine
from config.clock import SystemClock
from config.settings import Settings
from gateway.node import Node
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.session.session import Session
from gateway.transports.deflate import DeflateWire, compressed
from gateway.transports.frames import WebSocketWire
from gateway.transports.transport import Transport
from gateway.transports.websocket import WebSocketConnection

_BINARY: Final = WebSocketWire(ProtobufCodec())
_MIB: Final = 2**20

# The suite sends messages of 16 MiB, and many before it reads; and never what a client of ours begins with.
SETTINGS: Final[dict[str, Any]] = {
    "client": {"insecure": True, "queue_max_size": 256 * _MIB, "stale_close_delay": "1h"},
    "websocket": {"message_size_limit": 32 * _MIB, "compression": True},
    "admission": {"lag_limit": "0s"},  # a busy machine is no reason to turn cases away
}


class EchoConnection(WebSocketConnection):
    """The transport, whose session is told how each message came."""

    __slots__ = ("is_text",)

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self.is_text = frame.opcode is Opcode.TEXT
        super()._take_frame(frame)


class EchoSession:
    """Stands in for a session where the transport sees one, and gives every message back."""

    def __init__(self, session: Session) -> None:
        self.session, self.client = session, session.client

    def receive(self, message: bytes) -> None:
        """Take a message; what it is answered with leaves after this turn of the loop, as with every session."""
        wire, connection = self.client.wire, self.client.transport
        assert isinstance(wire, WebSocketWire) and isinstance(connection, EchoConnection)
        if not connection.is_text:
            wire = compressed(_BINARY, wire.deflate) if isinstance(wire, DeflateWire) else _BINARY
        asyncio.get_running_loop().call_soon(self._write, wire.frame((message,)))

    def _write(self, frame: bytes) -> None:
        if self.client.is_open:
            self.client.write(frame)


class EchoNode(Node):
    """A node whose sessions echo."""

    def open_session(self, transport: Transport) -> Any:
        return EchoSession(super().open_session(transport))

    def close_session(self, session: Any, code: int) -> None:
        super().close_session(session.session, code)


async def serve() -> None:
    clock = SystemClock()
    node = EchoNode(Settings.model_validate(SETTINGS), MemoryEngine(clock), clock, version="echo", rpc_methods={})
    node.start()
    server = await asyncio.get_running_loop().create_server(lambda: EchoConnection(node), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
