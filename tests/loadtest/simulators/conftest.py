"""Simulators with kept keys, requests that every check lets pass, and two clients: raw HTTP/2 frames, and libcurl."""

import asyncio
import json
import ssl
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import hpack
import jwt
import pycurl
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from config.clock import ManualClock, SystemClock
from loadtest.simulators.credentials import Credentials, open_credentials
from loadtest.simulators.suite import Simulators

Headers = dict[str, str]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose keys are made once per run."""
    folder = tmp_path_factory.mktemp("simulators")
    open_credentials(folder, now=SystemClock().now())
    return folder


@pytest.fixture(scope="session")
def credentials(data_dir: Path) -> Credentials:
    return open_credentials(data_dir, now=SystemClock().now())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sims(data_dir: Path) -> AsyncIterator[Simulators]:
    async with Simulators(data_dir) as simulators:
        yield simulators


# -- what a right caller sends


@pytest.fixture
def make_apns_token(credentials: Credentials) -> Callable[..., str]:
    """Sign a provider token; keyword arguments replace claims or header fields."""

    def make(*, now: float, key: str | None = None, kid: str | None = None, **claims: Any) -> str:
        claims = {"iss": credentials.apns_team_id, "iat": int(now), **claims}
        headers = {"kid": credentials.apns_key_id if kid is None else kid}
        return jwt.encode(claims, key or credentials.apns_private_key, "ES256", headers=headers)

    return make


@pytest.fixture
def make_assertion(credentials: Credentials) -> Callable[..., str]:
    """Sign the assertion of a service account for `audience`; keyword arguments replace claims."""

    def make(*, now: float, audience: str, key: str | None = None, kid: str | None = None, **claims: Any) -> str:
        standard = {
            "iss": "heliograph@simulator.iam.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + 3600,
        }
        headers = {"kid": kid or credentials.fcm_private_key_id}
        return jwt.encode({**standard, **claims}, key or credentials.fcm_private_key, "RS256", headers=headers)

    return make


@pytest.fixture
def make_vapid(credentials: Credentials) -> Callable[..., str]:
    """Write an Authorization header of RFC 8292; keyword arguments replace claims, None leaves one out."""

    def make(*, now: float, audience: str = "https://push.simulator.test", key: str | None = None, **claims: Any) -> str:
        standard = {"aud": audience, "exp": int(now) + 12 * 3600, "sub": "mailto:operator@simulator.test"}
        kept = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        signed = jwt.encode(kept, key or credentials.vapid_private_key, "ES256")
        public = load_pem_private_key(credentials.vapid_private_key.encode(), None).public_key()
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return f"vapid t={signed}, k={urlsafe_b64encode(point).rstrip(b'=').decode()}"

    return make


@pytest.fixture
def apns_headers(make_apns_token: Callable[..., str]) -> Headers:
    """Headers of an alert, authorised by the machine's clock."""
    return {
        "authorization": f"bearer {make_apns_token(now=SystemClock().now().timestamp())}",
        "apns-topic": "test.simulator.app",
        "apns-push-type": "alert",
    }


# -- raw HTTP/2 frames


@dataclass
class Outcome:
    """What came back on one stream."""

    status: int = 0
    headers: Headers = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    is_ended: bool = False
    reset_code: int | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def is_settled(self) -> bool:
        return self.is_ended or self.reset_code is not None


class FramePeer:
    """An HTTP/2 client that shows every frame. It gives back no receive window unless told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self._reader, self._writer, self._authority = reader, writer, authority
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._next_id = 1
        self.outcomes: dict[int, Outcome] = {}
        self.stream_limits: list[int] = []
        self.goaways: list[GoAwayFrame] = []
        self.is_closed = False
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())

    def send(self, path: str, headers: Mapping[str, str], body: bytes = b"", *, method: str = "POST") -> int:
        """Send a request whole; returns its stream id."""
        stream_id = self.open(path, list(headers.items()), method=method, is_complete=not body)
        if body:
            self.send_body(stream_id, body, is_complete=True)
        return stream_id

    def open(self, path: str, headers: list[tuple[str, str]], *, method: str = "POST", is_complete: bool = False) -> int:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self._authority), (":path", path)]
        frame = HeadersFrame(stream_id, self._encoder.encode([*pseudo, *headers]))
        frame.flags.add("END_HEADERS")
        if is_complete:
            frame.flags.add("END_STREAM")
        self.outcomes[stream_id] = Outcome()
        self._writer.write(frame.serialize())
        return stream_id

    def send_body(self, stream_id: int, body: bytes, *, is_complete: bool) -> None:
        for start in range(0, len(body), 16_384):
            frame = DataFrame(stream_id, body[start : start + 16_384])
            if is_complete and start + 16_384 >= len(body):
                frame.flags.add("END_STREAM")
            self._writer.write(frame.serialize())

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def grant_window(self, increment: int, *streams: int) -> None:
        for stream_id in (0, *streams):
            self._writer.write(WindowUpdateFrame(stream_id, window_increment=increment).serialize())

    async def result(self, stream_id: int) -> Outcome:
        """Wait until the stream has ended one way or another."""
        await self.until(lambda: self.outcomes[stream_id].is_settled or self.is_closed)
        return self.outcomes[stream_id]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await self._read_frame()

    async def _read_frame(self) -> None:
        try:
            head = await self._reader.readexactly(9)
            frame, length = Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.is_closed = True
            return
        outcome = self.outcomes.get(frame.stream_id, Outcome())
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                acknowledgement = SettingsFrame(0)
                acknowledgement.flags.add("ACK")
                self._writer.write(acknowledgement.serialize())
                if SettingsFrame.MAX_CONCURRENT_STREAMS in frame.settings:
                    self.stream_limits.append(frame.settings[SettingsFrame.MAX_CONCURRENT_STREAMS])
            case HeadersFrame():
                outcome.headers = dict(self._decoder.decode(bytes(frame.data)))
                outcome.status = int(outcome.headers.pop(":status"))
            case DataFrame():
                outcome.pieces.append(bytes(frame.data))
            case RstStreamFrame():
                outcome.reset_code = frame.error_code
            case GoAwayFrame():
                self.goaways.append(frame)
            case _:
                pass
        if frame.stream_id and "END_STREAM" in frame.flags:
            outcome.is_ended = True

    async def close(self) -> None:
        self._writer.transport.abort()


@pytest.fixture
async def connect(data_dir: Path) -> AsyncIterator[Callable[..., Awaitable[FramePeer]]]:
    """Open raw connections to a provider's port."""
    peers: list[FramePeer] = []

    async def open_peer(settings: Mapping[str, Any], *, host: str = "127.0.0.1", authority: str = "") -> FramePeer:
        context = ssl.create_default_context(cafile=settings["ca_file"])
        context.set_alpn_protocols(["h2"])
        address = settings.get("connect_to") or settings["url"].removeprefix("https://")
        port = int(address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
        peers.append(FramePeer(reader, writer, authority or address))
        return peers[-1]

    yield open_peer
    for peer in peers:
        await peer.close()


# -- libcurl, and the control interface


@dataclass(frozen=True)
class Response:
    status: int
    headers: Headers
    body: bytes


@pytest.fixture
def curl() -> Callable[..., Awaitable[Response]]:
    """Send one request through libcurl, in a thread."""

    def perform(settings: Mapping[str, Any], url: str, headers: Mapping[str, str], body: bytes, version: int) -> Response:
        handle, received, lines = pycurl.Curl(), BytesIO(), []
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.CAINFO, settings["ca_file"])
        handle.setopt(pycurl.HTTP_VERSION, version)
        handle.setopt(pycurl.TIMEOUT, 10)
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()] + ["Expect:"])
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, body)
        if "connect_to" in settings:
            handle.setopt(pycurl.CONNECT_TO, [f"::{settings['connect_to']}"])
        handle.setopt(pycurl.WRITEDATA, received)
        handle.setopt(pycurl.HEADERFUNCTION, lines.append)
        handle.perform()
        fields = dict(line.decode().rstrip().split(": ", 1) for line in lines if b": " in line)
        return Response(handle.getinfo(pycurl.RESPONSE_CODE), fields, received.getvalue())

    async def send(
        settings: Mapping[str, Any], url: str, headers: Mapping[str, str], body: bytes = b"", *, version: int | None = None
    ) -> Response:
        chosen = pycurl.CURL_HTTP_VERSION_2_0 if version is None else version
        return await asyncio.to_thread(perform, settings, url, headers, body, chosen)

    return send


@pytest.fixture
def call_control() -> Callable[..., Awaitable[tuple[int, Any]]]:
    """Call the control interface; returns the status and the decoded body."""

    def perform(url: str, body: bytes | None, headers: Headers) -> tuple[int, Any]:
        request = urllib.request.Request(url, data=body, headers=headers)
        opener = urllib.request.build_opener(_EveryStatus)
        with opener.open(request, timeout=10) as response:
            return response.status, json.loads(response.read() or b"null")

    async def call(url: str, body: object = None, *, raw: bytes | None = None, **headers: str) -> tuple[int, Any]:
        content = raw if raw is not None or body is None else json.dumps(body).encode()
        return await asyncio.to_thread(perform, url, content, headers)

    return call


class _EveryStatus(urllib.request.HTTPErrorProcessor):
    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response
