"""Payloads on the way to the backend and back: JSON as it is, on one line, or any bytes in base64."""

import base64
from typing import Final

from msgspec import Raw

from gateway.protocol import disconnects, errors
from gateway.protocol.codec import UnfitPayload
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.json_codec import is_json
from gateway.protocol.messages import NO_DATA
from gateway.proxy.errors import BadAnswer
from gateway.session.client import Client

__all__ = ["Outbound", "json_of", "pack", "payload_for", "payload_of"]

_BLANKS: Final = bytes.maketrans(b"\r\n", b"  ")

# The fields `data` and `b64data` of a request, one of which is empty.
Outbound = tuple[Raw, str]


def pack(data: bytes, *, is_binary: bool) -> Outbound:
    """Put a client's payload into a request.

    Raises:
        ClientError: 107, when it is no JSON and the proxy speaks JSON.
    """
    if not data:
        return NO_DATA, ""
    if is_binary:
        return NO_DATA, base64.b64encode(data).decode()
    if not is_json(data):
        raise ClientError(errors.BAD_REQUEST, "data must be JSON")
    return Raw(data), ""


def payload_of(data: Raw, b64data: str | None) -> bytes:
    """Take a payload out of a response, b"" for none; the base64 form wins.

    Raises:
        BadAnswer: It is no base64.
    """
    if not b64data:
        return _one_line(bytes(data))
    try:
        return base64.b64decode(b64data, validate=True)
    except ValueError:
        raise BadAnswer("a payload is no base64") from None


def json_of(data: Raw, b64data: str | None) -> bytes:
    """Take a payload that others will see inside of their JSON.

    Raises:
        BadAnswer: It is no base64, or not of JSON.
    """
    value = payload_of(data, b64data)
    if b64data and not is_json(value):
        raise BadAnswer("a payload is no JSON")
    return _one_line(value)


def payload_for(client: Client, data: Raw, b64data: str | None) -> bytes:
    """Take a payload for one client, fit for its encoding.

    Raises:
        BadAnswer: It is no base64.
        DisconnectClient: 3506, when it cannot travel in the client's encoding.
    """
    value = payload_of(data, b64data)
    try:
        return client.wire.codec.fit(value) if value else b""
    except UnfitPayload:
        raise DisconnectClient(disconnects.INAPPROPRIATE_PROTOCOL) from None


def _one_line(value: bytes) -> bytes:
    """Turn line ends into blanks: inside JSON text they only stand between values, but on the wire they end a message."""
    value = value.strip()
    if value == b"null":
        return b""
    return value.translate(_BLANKS) if b"\n" in value or b"\r" in value else value
