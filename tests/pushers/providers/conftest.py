"""A small HTTP/2 server that misbehaves on request."""

import asyncio
import ipaddress
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.clock import SystemClock
from loadtest.simulators.credentials import open_credentials


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and localhost that vouches for itself, and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "faulty server")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    start = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture(scope="session")
def kept_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the simulators' keys: they are made once for all tests, since that takes longer than most of them."""
    folder = tmp_path_factory.mktemp("keys")
    open_credentials(folder, now=SystemClock().now())
    (file,) = folder.iterdir()
    return file


@pytest.fixture
def simulators_folder(kept_keys: Path, tmp_path: Path) -> Path:
    """A folder for simulators of the test's own, with their keys."""
    folder = tmp_path / "simulators"
    folder.mkdir(mode=0o700)
    shutil.copy(kept_keys, folder)
    return folder


@pytest.fixture
def ca_file(certificate: Path) -> str:
    return str(certificate)


class Exchange:
    """One request as the server saw it, and the means to answer it."""

    def __init__(self, connection: "ServerConnection", stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def path(self) -> str:
        return self.headers[":path"]

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        lines = [(":status", str(status)), *(headers or {}).items()]
        self.connection.h2.send_headers(self.stream_id, lines, end_stream=not body)
        if body:
            self.connection.feed(self.stream_id, body)
        self.connection.flush()

    def reset(self, code: int) -> None:
        self.connection.h2.reset_stream(self.stream_id, code)
        self.connection.flush()


class ServerConnection(asyncio.Protocol):
    def __init__(self, server: "FaultyServer") -> None:
        self.server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.transport: asyncio.Transport
        self.exchanges: dict[int, Exchange] = {}
        self.unsent: dict[int, bytes] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections.append(self)
        self.h2.initiate_connection()
        # In force once the client has acknowledged it: streams that it opened before are taken (RFC 9113 §6.5.3).
        self.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.server.stream_limit})
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=int() as stream_id):
                    exchange = self.exchanges[stream_id] = Exchange(self, stream_id)
                    exchange.headers = dict(event.headers)
                    self.server.most_open = max(self.server.most_open, self.h2.open_inbound_streams)
                case h2.events.DataReceived(stream_id=int() as stream_id):
                    self.exchanges[stream_id].body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
                case h2.events.StreamEnded(stream_id=int() as stream_id):
                    self.server.take(self.exchanges[stream_id])
                case h2.events.StreamReset(stream_id=int() as stream_id):
                    self.server.resets.append(self.exchanges[stream_id].path)
                    self.server.changed()
                case h2.events.WindowUpdated():
                    for stream_id in list(self.unsent):
                        self.feed(stream_id, self.unsent.pop(stream_id))
        self.flush()

    def feed(self, stream_id: int, body: bytes) -> None:
        """Send as much of a body as the windows allow, the rest when they open."""
        while body:
            room = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.unsent[stream_id] = body
                return
            piece, body = body[:room], body[room:]
            self.h2.send_data(stream_id, piece, end_stream=not body)

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def connection_lost(self, _exc: Exception | None) -> None:
        self.server.lost += 1
        self.server.changed()


class FaultyServer:
    """Answers 200 unless `answer` is set; keeps what it saw."""

    def __init__(self) -> None:
        self.answer: Callable[[Exchange], None] = lambda exchange: exchange.reply(200)
        self.exchanges: list[Exchange] = []
        self.resets: list[str] = []
        self.connections: list[ServerConnection] = []
        self.lost = 0
        self.most_open = 0
        self.stream_limit = 100
        self.port = 0
        self._change = asyncio.Event()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def take(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.changed()
        self.answer(exchange)

    def changed(self) -> None:
        self._change.set()

    async def until(self, holds: Callable[["FaultyServer"], bool]) -> None:
        """Wait for a fact; the test's own timeout ends a hang."""
        while not holds(self):
            self._change.clear()
            await self._change.wait()


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[FaultyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2"])
    faulty = FaultyServer()
    listener = await asyncio.get_running_loop().create_server(lambda: ServerConnection(faulty), "127.0.0.1", 0, ssl=context)
    faulty.port = listener.sockets[0].getsockname()[1]
    yield faulty
    listener.close()
    for connection in faulty.connections:
        connection.transport.abort()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
