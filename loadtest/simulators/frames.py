"""Frames of HTTP/2 as bytes, RFC 9113 §4.1 and §6. What they mean for a connection is told in `connection`."""

import struct
from enum import IntEnum
from typing import Final

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "HEAD_BYTES",
    "PING",
    "PRIORITY",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "Broken",
    "ErrorCode",
    "Setting",
    "content_of",
    "read_head",
    "read_settings",
    "write_frame",
    "write_settings",
]

# Kinds, §6. Plain numbers: they are compared for every frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x01
END_STREAM: Final = 0x01
END_HEADERS: Final = 0x04
_PADDED: Final = 0x08
_WITH_PRIORITY: Final = 0x20

HEAD_BYTES: Final = 9
_PRIORITY_BYTES: Final = 5
_HEAD: Final = struct.Struct(">BHBBI")
_SETTING: Final = struct.Struct(">HI")


class ErrorCode(IntEnum):
    """Why a stream or a connection ends, §7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    """What a peer says of itself, §6.5.2, as far as it is read or said here."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Broken(Exception):
    """The peer breaks the rules so that the connection cannot go on, §5.4.1."""

    def __init__(self, code: ErrorCode, problem: str) -> None:
        super().__init__(problem)
        self.code = code


def read_head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Read the nine bytes in front of a frame's payload: its length, kind, flags and stream."""
    high, low, kind, flags, stream_id = _HEAD.unpack_from(data, at)
    return high << 16 | low, kind, flags, stream_id & 0x7FFFFFFF


def write_frame(kind: int, stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    """Write a frame; the payload is no longer than its receiver takes."""
    length = len(payload)
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id) + payload


def content_of(payload: bytes, flags: int, *, kind: int) -> bytes:
    """Take padding, and before a header block the priority, off the payload of DATA or HEADERS.

    Raises:
        Broken: There is more padding than payload.
    """
    begin, end = 0, len(payload)
    if flags & _PADDED:
        begin, end = 1, end - (payload[0] if payload else 1)
    if kind == HEADERS and flags & _WITH_PRIORITY:
        begin += _PRIORITY_BYTES
    if begin > end:
        raise Broken(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[begin:end] if begin or end != len(payload) else payload


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read pairs of a setting and its value.

    Raises:
        Broken: The payload is cut off.
    """
    if len(payload) % _SETTING.size:
        raise Broken(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS are cut off")
    return list(_SETTING.iter_unpack(payload))


def write_settings(values: dict[Setting, int]) -> bytes:
    """Write a frame of SETTINGS."""
    return write_frame(SETTINGS, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))
