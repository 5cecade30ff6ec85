"""The HTTP transports: `/connection/sse`, `/connection/http_stream`, their unidirectional forms, and `/emulation`."""

import functools
from collections.abc import Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from broker.control import Emulate
from broker.errors import EngineUnavailable
from gateway.admission import DRAINING
from gateway.node import Node
from gateway.protocol.codec import CodecError
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.messages import EmulationRequest
from gateway.protocol.protobuf_codec import ProtobufCodec, read_emulation_request
from gateway.protocol.uni_codec import UniJsonCodec
from gateway.transports.connect_responses import ConnectResponses, connect_responses
from gateway.transports.cors import HeaderList, cors_headers, preflight_headers
from gateway.transports.http_bounds import CUT
from gateway.transports.stream import Receive, Send, StreamConnection, StreamWire
from gateway.transports.transport import Kind

__all__ = ["EmulationEndpoint", "StreamEndpoint", "http_stream_endpoint", "sse_endpoint", "uni_endpoint"]

Scope = MutableMapping[str, Any]

_BODY_LIMIT: Final = 65536
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_STREAM_HEADERS: Final = (
    (b"cache-control", b"private, no-cache, no-store, must-revalidate, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expire", b"0"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final = JsonCodec()
_UNI: Final = UniJsonCodec()
_SSE: Final = {"before": b"data: ", "after": b"\n\n"}
_LINES: Final = {"before": b"", "after": b"\n"}

SSE_WIRE: Final = StreamWire("sse", _JSON, Kind.EMULATED, **_SSE)
UNI_SSE_WIRE: Final = StreamWire("uni_sse", _UNI, Kind.UNIDIRECTIONAL, **_SSE)
STREAM_JSON_WIRE: Final = StreamWire("http_stream", _JSON, Kind.EMULATED, **_LINES)
STREAM_PROTOBUF_WIRE: Final = StreamWire("http_stream", ProtobufCodec(), Kind.EMULATED, before=b"", after=b"")
UNI_STREAM_WIRE: Final = StreamWire("uni_http_stream", _UNI, Kind.UNIDIRECTIONAL, **_LINES)


class _TooLarge(Exception):
    pass


class StreamEndpoint:
    """An ASGI application for one path: takes what the client says first, then streams."""

    def __init__(
        self,
        node: Node,
        *,
        methods: tuple[str, ...],
        wire_of: Callable[[dict[bytes, bytes]], StreamWire],
        is_events: bool,
        default_frame: bytes | None = None,
        responses: ConnectResponses | None = None,
    ) -> None:
        self._node, self._methods, self._wire_of, self._is_events = node, methods, wire_of, is_events
        self._default_frame, self._responses = default_frame, responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        allowed = self._node.settings.client.allowed_origins
        if scope["method"] == "OPTIONS" and "POST" in self._methods:
            await _answer(send, 204, preflight_headers(headers, allowed))
            return
        cors = cors_headers(headers, allowed)
        if scope["method"] not in self._methods:
            await _answer(send, 405, [*cors, (b"allow", ", ".join(self._methods).encode())])
            return
        try:
            frame = await self._first_frame(scope, receive)
        except _TooLarge:
            await _answer(send, 413, cors)
            return
        wire = self._wire_of(headers)
        if frame is None or (wire.kind is Kind.UNIDIRECTIONAL and not _is_readable(wire, frame)):
            await _answer(send, 400, [*cors, _TEXT], b"a connect request is missing or cannot be read\n")
            return
        # Not before the body has come: whoever is let in must count, and be seen by a drain, from then on.
        admission = self._node.admission
        denial = admission.deny(DRAINING) if self._node.is_draining else admission.ask()
        if denial is not None:
            await _answer(send, 503, [*cors, (b"retry-after", b"%d" % denial.retry_after_s), _TEXT], denial.text.encode())
            return
        await self._stream(scope, wire, frame, cors, receive, send)

    async def _stream(
        self, scope: Scope, wire: StreamWire, frame: bytes, cors: HeaderList, receive: Receive, send: Send
    ) -> None:
        content = b"text/event-stream; charset=utf-8" if self._is_events else b"application/octet-stream"
        started = [*cors, *_STREAM_HEADERS, (b"content-type", content)]
        if scope.get("http_version", "1.1").startswith("1"):
            started.append((b"connection", b"keep-alive"))
        # Headers leave with the first bytes; an event stream begins with an empty line.
        opening = (
            {"type": "http.response.start", "status": 200, "headers": started},
            {"type": "http.response.body", "body": b"\r\n" if self._is_events else b"", "more_body": True},
        )
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        address = (scope.get("client") or ("",))[0]
        connection = StreamConnection(self._node, wire, names, scope.get("extensions", {}).get(CUT), address=address)
        refuse = None if self._responses is None else functools.partial(_refuse, send, cors, self._responses)
        await connection.run(frame, receive, send, opening, refuse)

    async def _first_frame(self, scope: Scope, receive: Receive) -> bytes | None:
        if scope["method"] == "POST":
            return await _read(receive)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = query.get("cf_connect")
        return given[0].encode() if given else self._default_frame


class EmulationEndpoint:
    """The way up of clients whose transport only goes down: each post is a frame of one of them."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        allowed = self._node.settings.client.allowed_origins
        if scope["method"] == "OPTIONS":
            await _answer(send, 204, preflight_headers(headers, allowed))
            return
        cors = cors_headers(headers, allowed)
        if scope["method"] != "POST":
            await _answer(send, 405, [*cors, (b"allow", b"POST, OPTIONS")])
            return
        try:
            status = await self._take(await _read(receive), is_protobuf=_is_protobuf(headers))
        except EngineUnavailable:
            status = 503
        except _TooLarge:
            status = 413
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CodecError):
            status = 400
        await _answer(send, status, cors)

    async def _take(self, body: bytes, *, is_protobuf: bool) -> int:
        """Hand a frame to its client, on whatever node it is; tells the HTTP status."""
        request = read_emulation_request(body) if is_protobuf else msgspec.json.decode(body, type=EmulationRequest)
        data = bytes(request.data)
        if request.node == self._node.uid:
            self._node.emulate(request.session, data)
            return 204
        if not await self._node.neighbours.knows(request.node):
            return 404
        await self._node.engine.control.send(Emulate(request.node, request.session, data))
        return 204


def sse_endpoint(node: Node) -> StreamEndpoint:
    """Make `/connection/sse`."""
    return StreamEndpoint(node, methods=("GET", "POST"), wire_of=lambda _headers: SSE_WIRE, is_events=True)


def http_stream_endpoint(node: Node) -> StreamEndpoint:
    """Make `/connection/http_stream`."""
    return StreamEndpoint(node, methods=("POST",), wire_of=_stream_wire, is_events=False)


def uni_endpoint(node: Node, *, is_events: bool) -> StreamEndpoint:
    """Make `/connection/uni_sse` or `/connection/uni_http_stream`."""
    wire = UNI_SSE_WIRE if is_events else UNI_STREAM_WIRE
    settings = node.settings.uni_sse if is_events else node.settings.uni_http_stream
    return StreamEndpoint(
        node,
        methods=("GET", "POST") if is_events else ("POST",),
        wire_of=lambda _headers: wire,
        is_events=is_events,
        default_frame=b"{}",
        responses=connect_responses(settings.connect_code_to_http_response),
    )


def _is_protobuf(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/octet-stream"


def _stream_wire(headers: dict[bytes, bytes]) -> StreamWire:
    return STREAM_PROTOBUF_WIRE if _is_protobuf(headers) else STREAM_JSON_WIRE


def _is_readable(wire: StreamWire, frame: bytes) -> bool:
    try:
        next(wire.codec.decode(frame))
    except CodecError:
        return False
    return True


async def _read(receive: Receive) -> bytes:
    """Read a request's body, at most as much as a WebSocket message may hold."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _BODY_LIMIT:
            raise _TooLarge
        if not message.get("more_body"):
            return body


async def _refuse(send: Send, cors: HeaderList, responses: ConnectResponses, disconnect: Disconnect) -> None:
    status, text = responses.response_for(disconnect)
    await _answer(send, status, [*cors, _TEXT], text.encode())


async def _answer(send: Send, status: int, headers: HeaderList, body: bytes = b"") -> None:
    if status in (204, 304):
        body = b""
    sized = [*headers] if status in (204, 304) else [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})
