"""The HTTP server's connection, with the bounds that uvicorn's does not set: how large a head may be, and how long a peer may
take to say what it wants. Whoever holds a connection open must have asked for something. It also says where requests come from.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.addresses import Addresses
from gateway.wheel import Note, Wheel

__all__ = ["CUT", "HEAD_LIMIT_BYTES", "PATIENCE_S", "BoundedHttp"]

HEAD_LIMIT_BYTES: Final = 65536
PATIENCE_S: Final = 10.0  # for a whole head, between two parts of a body, and for a peer to take anything of its answer
CUT: Final = "heliograph.cut"  # the extension of the ASGI scope by which an application drops its connection at once


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head over the limit and 408 to one that does not end; drops whoever leaves a body unfinished, or an
    answer unread."""

    def __init__(self, wheel: Wheel, addresses: Addresses, **given_by_uvicorn: Any) -> None:
        super().__init__(**given_by_uvicorn)
        self._wheel, self._addresses = wheel, addresses
        self._note: Note | None = None
        # Between two requests: since when, and what looks after that. uvicorn has a timer for it, made and taken back at each.
        self._idle_since: float | None = None
        self._idle_note: Note | None = None
        self._is_in_head = True
        self._has_heard = False
        # Bytes since the last whole head or part of a body: of a head, or of trailers, which the parser keeps as well.
        self._unfinished_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's has it so
        super().connection_made(transport)
        if self.client is not None:
            self.client = (self._addresses.of(self.client[0], ()), self.client[1])
        self._note = self._wheel.note(PATIENCE_S, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_note()
        if self._idle_note is not None:
            self._idle_note.drop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unfinished_bytes > HEAD_LIMIT_BYTES:
            self._refuse(431)
        elif self._note is None and self._is_waiting:
            self._note = self._wheel.note(PATIENCE_S, self._lose_patience)

    def on_response_complete(self) -> None:
        """What uvicorn calls when a response has been handed over; it has closed the connection then, if it is to be. In place
        of its own: answer what was asked meanwhile, or wait for the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._see_off()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._is_in_head:
            self._rest()

    def shutdown(self) -> None:
        """What uvicorn calls at its end: a request that never came whole is not waited for."""
        if self._is_waiting:
            self.transport.close()
        else:
            super().shutdown()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._is_in_head, self._idle_since = True, None
        super().on_message_begin()
        self.scope["extensions"] = {CUT: self.transport.abort}  # type: ignore[dict-item]  # ours, and no dict

    def on_headers_complete(self) -> None:
        if self._unfinished_bytes > HEAD_LIMIT_BYTES and self._head_bytes() > HEAD_LIMIT_BYTES:
            raise ValueError("the head is too large")  # ends the parsing, and comes back as `send_400_response`
        self._is_in_head = False
        self._progress()
        if self.client is not None and self._addresses.trusts_anybody:
            self.scope["client"] = (self._addresses.of(self.client[0], self.headers), self.client[1])
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self.cycle.more_body = False  # it was answered before it had come whole
            self._rest()

    def send_400_response(self, msg: str) -> None:
        if self._unfinished_bytes > HEAD_LIMIT_BYTES:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    # The inner works.

    @property
    def _is_waiting(self) -> bool:
        return self._is_in_head or (self.cycle is not None and self.cycle.more_body)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _progress(self) -> None:
        self._unfinished_bytes = 0
        self._drop_note()

    def _drop_note(self) -> None:
        if self._note is not None:
            self._note.drop()
            self._note = None

    def _rest(self) -> None:
        """Wait for the next request; one note serves for all the pauses within its time."""
        self._idle_since = self._wheel.monotonic()
        if self._idle_note is None:
            self._idle_note = self._wheel.note(self.timeout_keep_alive, self._end_rest)

    def _end_rest(self) -> None:
        """Close a connection that was not used for so long, once the peer has taken the last answer."""
        self._idle_note = None
        if self._idle_since is None or self._is_waiting:
            return
        left_s = self._idle_since + self.timeout_keep_alive - self._wheel.monotonic()
        if left_s > 0:
            self._idle_note = self._wheel.note(left_s, self._end_rest)
        else:
            self.transport.close()
            self._see_off()

    def _lose_patience(self) -> None:
        self._note = None
        if self._is_in_head:
            self._refuse(408)
        elif self._has_heard or self.flow.read_paused:
            self._has_heard = False
            self._note = self._wheel.note(PATIENCE_S, self._lose_patience)
        else:
            self.transport.close()

    def _see_off(self) -> None:
        """Watch a closed connection until its peer has taken what is left for it."""
        if unsent := self.transport.get_write_buffer_size():
            self._wheel.after(PATIENCE_S, self._drop_if_stuck, unsent)

    def _drop_if_stuck(self, unsent_before: int) -> None:
        if self not in self.connections:
            return
        if self.transport.get_write_buffer_size() >= unsent_before:
            self.transport.abort()
        else:
            self._see_off()

    def _refuse(self, status: int) -> None:
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
