"""What a WebSocket's opening request is judged by before it is upgraded: a pure function to a wire or a refusal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

import msgspec
from websockets.datastructures import Headers

from config.settings import Settings
from gateway.admin.place import is_own_page
from gateway.admission import Denial
from gateway.origins import is_origin_allowed
from gateway.protocol.codec import CodecError
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.protocol.uni_codec import UniJsonCodec
from gateway.transports.frames import WebSocketWire
from gateway.transports.transport import Kind

__all__ = ["DEFAULT_WIRE", "PATH", "SUBPROTOCOLS", "UNI_PATH", "Refusal", "Welcome", "choose_subprotocol", "judge"]

PATH: Final = "/connection/websocket"
UNI_PATH: Final = "/connection/uni_websocket"

_JSON, _PROTOBUF, _UNI = JsonCodec(), ProtobufCodec(), UniJsonCodec()
SUBPROTOCOLS: Final[Mapping[str, str]] = {"centrifuge-json": "json", "centrifuge-protobuf": "protobuf"}

# One wire per encoding and way of pinging, shared by all connections: rooms tell their members apart by it.
_WIRES: Final[Mapping[tuple[str, bool], WebSocketWire]] = {
    ("json", False): WebSocketWire(_JSON),
    ("json", True): WebSocketWire(_JSON, pings_frames=True),
    ("protobuf", False): WebSocketWire(_PROTOBUF),
    ("protobuf", True): WebSocketWire(_PROTOBUF, pings_frames=True),
}
DEFAULT_WIRE: Final = _WIRES["json", False]
_UNI_WIRE: Final = WebSocketWire(_UNI, Kind.UNIDIRECTIONAL)


class Refusal(msgspec.Struct, frozen=True):
    """The request is answered by this HTTP status, and nothing is upgraded."""

    status: int
    text: str
    retry_after_s: int = 0


class Welcome(msgspec.Struct, frozen=True):
    """The request may be upgraded; `first_frame` is what the client said in the address already (None for nothing)."""

    wire: WebSocketWire
    first_frame: bytes | None = None


def judge(target: str, headers: Headers, settings: Settings, admit: Callable[[], Denial | None]) -> Welcome | Refusal:
    """Judge an opening request.

    Args:
        target: Path and query, as they stand in the request line.
        headers: Its headers; any of them may come several times.
        admit: Asks the node to take one more connection; called last, as it counts.
    """
    path, _, query_text = target.partition("?")
    is_unidirectional = path == UNI_PATH and settings.uni_websocket.enabled
    if path != PATH and not is_unidirectional:
        return Refusal(404, "not found\n")
    origins = headers.get_all("Origin")
    if len(origins) > 1 or not _may_come_from("".join(origins), headers, settings):
        return Refusal(403, "origin is not in client.allowed_origins\n")
    query = parse_qs(query_text, keep_blank_values=True)
    first_frame = _first_frame(query.get("cf_connect")) if is_unidirectional else None
    if isinstance(first_frame, Refusal):
        return first_frame
    if (denial := admit()) is not None:
        return Refusal(denial.status, denial.text, denial.retry_after_s)
    if is_unidirectional:
        return Welcome(_UNI_WIRE, first_frame)
    offered = [name.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]
    chosen = choose_subprotocol(offered)
    encoding = SUBPROTOCOLS[chosen] if chosen else _encoding_of(query)
    return Welcome(_WIRES[encoding, query.get("cf_ws_frame_ping_pong") == ["true"]])


def _may_come_from(origin: str, headers: Headers, settings: Settings) -> bool:
    return is_origin_allowed(origin, settings.client.allowed_origins) or is_own_page(
        origin, "".join(headers.get_all("Host")), settings
    )


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Choose the first one offered that we speak; it must be echoed, or the client refuses the handshake."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def _encoding_of(query: Mapping[str, Sequence[str]]) -> str:
    asked = (*query.get("format", ()), *query.get("cf_protocol", ()))
    return "protobuf" if "protobuf" in asked else "json"


def _first_frame(connect: Sequence[str] | None) -> bytes | Refusal | None:
    if connect is None:
        return None
    frame = connect[0].encode()
    try:
        next(_UNI.decode(frame))
    except CodecError:
        return Refusal(400, "cf_connect must be a connect request as JSON\n")
    return frame
