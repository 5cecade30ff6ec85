"""permessage-deflate on the way in (RFC 7692): negotiation, and the bounds of what a message may grow to."""

import functools
from collections.abc import Sequence
from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.typing import ExtensionParameter

__all__ = ["INFLATION", "BoundedInflate", "offer"]

INFLATION: Final = 10  # a message may be so many times as large as one that comes uncompressed


class BoundedInflate(PerMessageDeflate):
    """Reads one client's messages. A message is bounded as it comes and, ten times wider, as it is when inflated."""

    def __init__(self, negotiated: PerMessageDeflate, size_limit: int) -> None:
        super().__init__(True, True, negotiated.remote_max_window_bits, negotiated.local_max_window_bits)
        self._size_limit, self._inflated_limit = size_limit, size_limit * INFLATION
        self._size = self._inflated = 0  # of the message that is being read

    @property
    def window_bits(self) -> int:
        """The largest window that the client can read, as a power of two."""
        return self.local_max_window_bits

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Inflate a frame; `max_size`, which knows one limit for both forms, is not asked.

        Raises:
            PayloadTooBig: The message is larger than it may be, in one form or the other (1009).
            ProtocolError: It is not DEFLATE (1002).
        """
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not Opcode.CONT:
            self._size = self._inflated = 0
        self._size += len(frame.data)
        if self._size > self._size_limit:
            raise PayloadTooBig(None, self._size_limit)
        # One byte more than may come, since 0 would mean that there is no limit.
        inflated = super().decode(frame, max_size=self._inflated_limit - self._inflated + 1)
        self._inflated += len(inflated.data)
        if self._inflated > self._inflated_limit:
            raise PayloadTooBig(None, self._inflated_limit)
        return inflated


class _Offer(ServerPerMessageDeflateFactory):
    """Takes what a client offers, always without taking over contexts: no connection keeps a window while idle."""

    def __init__(self, size_limit: int) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)
        self._size_limit = size_limit

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], BoundedInflate]:
        response, negotiated = super().process_request_params(params, accepted_extensions)
        return response, BoundedInflate(negotiated, self._size_limit)


@functools.cache
def offer(size_limit: int) -> Sequence[ServerPerMessageDeflateFactory]:
    """Give what a server says to offers of compression; `size_limit` is that of messages as they come, in bytes."""
    return (_Offer(size_limit),)
