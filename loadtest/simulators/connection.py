"""A server's side of one HTTP/2 connection, RFC 9113, without I/O: bytes in, whole requests out, and answers back to bytes.

It does what the simulators need and no more, because the general library's way through each frame costs half of all that a
request costs: a table of states, an event and three objects for each frame. It differs from such a library in what providers
do differently, too:

- **One stream too many is refused** (REFUSED_STREAM), also when the peer has not seen the limit yet; it ends no connection.
- **After GOAWAY what lies at or below its last stream id goes on**, and what lies above is ignored.
- **The receive window is no limit**: that of the connection is opened wide and topped up by the mebibyte, and streams never
  need theirs, since a body that outgrows what any provider takes is cut and answered.

What comes in for a stream that is over (answered, reset or refused) is read past: it was under way when that happened (§5.1).
"""

from collections.abc import Callable
from typing import Final

from hpack import HPACKError, OversizedHeaderListError

from loadtest.simulators import frames
from loadtest.simulators.block_decoder import BlockDecoder
from loadtest.simulators.frames import Broken, ErrorCode, Setting, write_frame
from loadtest.simulators.header_block import PlainEncoder

__all__ = ["MAX_BODY_BYTES", "Connection", "Fields"]

Fields = list[tuple[bytes, bytes]]

MAX_BODY_BYTES: Final = 32 * 1024
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MAX_FRAME_BYTES: Final = 16_384  # §4.2: what everybody takes, and we as well
_MAX_BLOCK_BYTES: Final = 64 * 1024
_HEADER_LIST_BYTES: Final = 16 * 1024
_FIRST_WINDOW: Final = 65_535
_MAX_WINDOW: Final = 2**31 - 1
_TOP_UP_BYTES: Final = 1 << 20
_LENGTHS: Final = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}


class _Stream:
    """A request on its way in, or waiting for its answer. `granted` is what the peer has widened its first window by, less
    what was sent; `unsent` is the rest of an answer's body."""

    __slots__ = ("body", "fields", "granted", "is_complete", "unsent")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.body = b""
        self.is_complete = False
        self.granted = 0
        self.unsent = b""


class Connection:
    """The state of one connection.

    Args:
        take: Called with each request: its stream, fields and body. A body beyond `MAX_BODY_BYTES` is cut.
        streams: How many streams may be open at once.
    """

    def __init__(self, take: Callable[[int, Fields, bytes], None], *, streams: int) -> None:
        self._take = take
        self._limit = streams
        self._decoder, self._encoder = BlockDecoder(most_bytes=_HEADER_LIST_BYTES), PlainEncoder()
        self._streams: dict[int, _Stream] = {}
        self._highest = 0
        self._last: int | None = None  # set once GOAWAY went out: what lies above is ignored
        self._window = self._first_window = _FIRST_WINDOW
        self._frame_bytes = _MAX_FRAME_BYTES
        self._received_bytes = 0
        self._unread = b""
        self._is_greeted = self._is_introduced = False
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and beginning of a header block
        self.is_left = False
        """Whether the peer has said GOAWAY."""
        self._out = bytearray(
            frames.write_settings({Setting.MAX_CONCURRENT_STREAMS: streams, Setting.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES})
        )
        self._widen(_MAX_WINDOW - _FIRST_WINDOW)

    @property
    def is_drained(self) -> bool:
        """Whether GOAWAY was said and nothing is left to be answered."""
        return self._last is not None and not self._streams

    def is_open(self, stream_id: int) -> bool:
        """Whether a stream still waits for its answer."""
        return stream_id in self._streams

    def output(self) -> bytes:
        """Take what is to be written now."""
        written = bytes(self._out)
        self._out.clear()
        return written

    # -- what comes in

    def receive(self, data: bytes) -> None:
        """Read what has come, in any pieces.

        Raises:
            Broken: The connection cannot go on; the GOAWAY that says so is in `output`.
        """
        try:
            self._read(self._unread + data if self._unread else data)
        except Broken as exc:
            self._out += write_frame(frames.GOAWAY, 0, self._highest.to_bytes(4) + exc.code.to_bytes(4))
            raise

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self._is_greeted:
            if not _PREFACE.startswith(data[: len(_PREFACE)]):
                raise Broken(ErrorCode.PROTOCOL_ERROR, "the preface is missing")
            at = len(_PREFACE) if end >= len(_PREFACE) else 0
            self._is_greeted = at > 0
        while self._is_greeted and end - at >= frames.HEAD_BYTES:
            length, kind, flags, stream_id = frames.read_head(data, at)
            if length > _MAX_FRAME_BYTES or length != _LENGTHS.get(kind, length):
                raise Broken(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            begin = at + frames.HEAD_BYTES
            if end - begin < length:
                break
            at = begin + length
            self._on_frame(kind, flags, stream_id, data[begin:at])
        self._unread = data[at:]

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._is_introduced:
            self._is_introduced = True
            if kind != frames.SETTINGS:
                raise Broken(ErrorCode.PROTOCOL_ERROR, "SETTINGS come first")  # §3.4
        if (self._block is not None) != (kind == frames.CONTINUATION):
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a header block stands in one piece")  # §4.3
        if kind == frames.DATA:
            self._on_data(stream_id, flags, payload)
        elif kind == frames.HEADERS:
            self._on_block(stream_id, flags, frames.content_of(payload, flags, kind=kind))
        elif kind == frames.WINDOW_UPDATE:
            self._on_window(stream_id, int.from_bytes(payload) & _MAX_WINDOW)
        elif kind == frames.CONTINUATION:
            self._on_continuation(stream_id, flags, payload)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, payload)
        elif kind == frames.PING:
            if not flags & frames.ACK:
                self._out += write_frame(frames.PING, 0, payload, frames.ACK)
        elif kind == frames.RST_STREAM:
            self._check_seen(stream_id)
            self._streams.pop(stream_id, None)
        elif kind == frames.GOAWAY:
            self.is_left = True
        elif kind == frames.PUSH_PROMISE:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "clients promise nothing")  # §8.4

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        if not flags & frames.END_HEADERS:
            if len(block) > _MAX_BLOCK_BYTES:
                raise Broken(ErrorCode.ENHANCE_YOUR_CALM, "the header block is too large")
            self._block = stream_id, flags, block
            return
        try:  # also of a stream that is over: the table must stay in step
            fields: Fields = self._decoder.decode(block)
        except OversizedHeaderListError as exc:
            raise Broken(ErrorCode.ENHANCE_YOUR_CALM, str(exc)) from exc
        except HPACKError as exc:
            raise Broken(ErrorCode.COMPRESSION_ERROR, str(exc)) from exc
        if stream_id > self._highest:
            self._open(stream_id, fields)
        elif not stream_id % 2:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "that is no stream of a client")
        elif stream_id in self._streams and not flags & frames.END_STREAM:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "trailers end a stream")  # §8.1
        if flags & frames.END_STREAM and (stream := self._streams.get(stream_id)) is not None:
            self._complete(stream_id, stream)

    def _on_continuation(self, stream_id: int, flags: int, payload: bytes) -> None:
        assert self._block is not None
        (begun, first_flags, block), self._block = self._block, None
        if stream_id != begun:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a header block stands in one piece")
        self._on_block(stream_id, first_flags | flags & frames.END_HEADERS, block + payload)

    def _open(self, stream_id: int, fields: Fields) -> None:
        if not stream_id % 2:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "that is no stream of a client")  # §5.1.1
        self._highest = stream_id
        if self._last is not None and stream_id > self._last:
            return
        if len(self._streams) >= self._limit:
            self.reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        self._streams[stream_id] = _Stream(fields)

    def _on_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        self._check_seen(stream_id)
        self._received_bytes += len(payload)
        if self._received_bytes >= _TOP_UP_BYTES:
            self._widen(self._received_bytes)
            self._received_bytes = 0
        stream = self._streams.get(stream_id)
        if stream is None or stream.is_complete:
            return
        content = frames.content_of(payload, flags, kind=frames.DATA)
        stream.body = stream.body + content if stream.body else content
        if len(stream.body) > MAX_BODY_BYTES:
            # RFC 9113 §8.1: a server may answer early and reset with NO_ERROR what it will not read.
            self._complete(stream_id, stream)
            self.reset(stream_id, ErrorCode.NO_ERROR)
        elif flags & frames.END_STREAM:
            self._complete(stream_id, stream)

    def _complete(self, stream_id: int, stream: _Stream) -> None:
        if not stream.is_complete:
            stream.is_complete = True
            self._take(stream_id, stream.fields, stream.body)

    def _on_window(self, stream_id: int, increment: int) -> None:
        if not increment:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a window is widened by nothing")
        if stream_id:
            self._check_seen(stream_id)
            if (stream := self._streams.get(stream_id)) is None:
                return
            stream.granted += increment
            widest = self._first_window + stream.granted
            if stream.unsent:
                self._send_unsent(stream_id, stream)
        else:
            self._window += increment
            widest = self._window
            self._send_all_unsent()
        if widest > _MAX_WINDOW:
            raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "a window is too wide")  # §6.9.1

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        for name, value in frames.read_settings(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                if value > _MAX_WINDOW:
                    raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "a window is too wide")
                self._first_window = value
            elif name == Setting.MAX_FRAME_SIZE:
                if not _MAX_FRAME_BYTES <= value < 1 << 24:
                    raise Broken(ErrorCode.PROTOCOL_ERROR, "no size of a frame")
                self._frame_bytes = value
        self._out += write_frame(frames.SETTINGS, 0, b"", frames.ACK)
        self._send_all_unsent()

    def _check_seen(self, stream_id: int) -> None:
        if not 0 < stream_id <= self._highest:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "nobody has opened that stream")  # §5.1, idle

    # -- what goes out; of a stream that is over nothing does

    def send_headers(self, stream_id: int, fields: Fields, *, is_end: bool) -> None:
        """Begin an answer; `is_end` where it has no body."""
        if stream_id not in self._streams:
            return
        block = self._encoder.encode(fields)
        end = frames.END_STREAM if is_end else 0
        if len(block) <= self._frame_bytes:
            self._out += write_frame(frames.HEADERS, stream_id, block, end | frames.END_HEADERS)
        else:
            first, *others = (block[at : at + self._frame_bytes] for at in range(0, len(block), self._frame_bytes))
            self._out += write_frame(frames.HEADERS, stream_id, first, end)
            for index, piece in enumerate(others, 1):
                is_last = index == len(others)
                self._out += write_frame(frames.CONTINUATION, stream_id, piece, frames.END_HEADERS if is_last else 0)
        if is_end:
            del self._streams[stream_id]

    def send_body(self, stream_id: int, body: bytes, *, piece_bytes: int = 0) -> None:
        """End an answer, at most `piece_bytes` in a frame where that is given. What the peer's windows have no room for waits
        until they have."""
        stream = self._streams.get(stream_id)
        while body and stream is not None:
            most = min(piece_bytes or self._frame_bytes, self._frame_bytes)
            room = min(self._window, self._first_window + stream.granted, most)
            if room <= 0:
                stream.unsent = body
                return
            piece, body = body[:room], body[room:]
            self._window -= len(piece)
            stream.granted -= len(piece)
            self._out += write_frame(frames.DATA, stream_id, piece, 0 if body else frames.END_STREAM)
        self._streams.pop(stream_id, None)

    def _send_all_unsent(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            if stream.unsent:
                self._send_unsent(stream_id, stream)

    def _send_unsent(self, stream_id: int, stream: _Stream) -> None:
        body, stream.unsent = stream.unsent, b""
        self.send_body(stream_id, body)

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream without an answer, or without the rest of it."""
        self._streams.pop(stream_id, None)
        self._out += write_frame(frames.RST_STREAM, stream_id, code.to_bytes(4))

    def limit_streams(self, streams: int) -> None:
        """Announce, and keep from now on, how many streams may be open at once."""
        self._limit = streams
        self._out += frames.write_settings({Setting.MAX_CONCURRENT_STREAMS: streams})

    def go_away(self, last_stream_id: int, code: int, debug: bytes) -> None:
        """Say that nothing above a stream is or will be answered."""
        self._last = max(0, last_stream_id)
        self._out += write_frame(frames.GOAWAY, 0, self._last.to_bytes(4) + code.to_bytes(4) + debug)
        for late in [known for known in self._streams if known > self._last]:
            del self._streams[late]

    def _widen(self, increment: int) -> None:
        self._out += write_frame(frames.WINDOW_UPDATE, 0, increment.to_bytes(4))
