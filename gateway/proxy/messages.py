"""What goes to the backend and what comes back, event by event, with the field names of the wire.

Zero values are left out of what is sent, but for the user. Of what comes back unknown fields are ignored and an explicit null
counts as absent, as languages differ in how they write an empty field.
"""

from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Raw

from gateway.auth.capabilities import WrittenCapability
from gateway.protocol.messages import NO_DATA

__all__ = [
    "ConnectCall",
    "ConnectGrant",
    "ConnectSubscriptionBody",
    "ConnectionRenewal",
    "DisconnectBody",
    "ErrorBody",
    "PublishCall",
    "PublishGrant",
    "RefreshCall",
    "Renewal",
    "Response",
    "RpcAnswer",
    "RpcCall",
    "SubRefreshCall",
    "SubscribeCall",
    "SubscribeGrant",
    "SubscriptionBody",
    "decoder_of",
    "encode_call",
]

R = TypeVar("R")


class _Call(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Who asks: the connection's id, its transport and its encoding, and how payloads travel (`json` or `binary`)."""

    client: str
    transport: str
    protocol: str
    encoding: str


class _UserCall(_Call, kw_only=True, frozen=True):
    user: str
    meta: Raw = NO_DATA


class ConnectCall(_Call, kw_only=True, frozen=True):
    """Somebody without a token connects."""

    data: Raw = NO_DATA
    b64data: str = ""
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()


class RefreshCall(_UserCall, kw_only=True, frozen=True):
    """A connection's time is over."""


class RpcCall(_UserCall, kw_only=True, frozen=True):
    """A client calls a method of the application's."""

    method: str
    data: Raw = NO_DATA
    b64data: str = ""


class SubscribeCall(_UserCall, kw_only=True, frozen=True):
    """A client without a token wants into a channel."""

    channel: str
    data: Raw = NO_DATA
    b64data: str = ""


class PublishCall(_UserCall, kw_only=True, frozen=True):
    """A client wants to publish."""

    channel: str
    data: Raw = NO_DATA
    b64data: str = ""


class SubRefreshCall(_UserCall, kw_only=True, frozen=True):
    """A subscription's time is over."""

    channel: str


class ErrorBody(msgspec.Struct, frozen=True):
    """An error for the client."""

    code: int = 0
    message: str | None = None
    temporary: bool | None = None


class DisconnectBody(msgspec.Struct, frozen=True):
    """The end of the connection."""

    code: int = 0
    reason: str | None = None


class Response(msgspec.Struct, Generic[R], frozen=True):
    """What the backend answers: one of the three, judged in the order disconnect, error, result."""

    result: R | None = None
    error: ErrorBody | None = None
    disconnect: DisconnectBody | None = None


class _Flag(msgspec.Struct, frozen=True):
    value: bool = False


class SubscriptionBody(msgspec.Struct, frozen=True):
    """What a subscription gets; `override` maps options to `{"value": bool}`."""

    expire_at: float | None = None
    info: Raw = NO_DATA
    b64info: str | None = None
    data: Raw = NO_DATA
    b64data: str | None = None
    override: dict[str, _Flag | None] | None = None


class SubscribeGrant(SubscriptionBody, frozen=True):
    """The client may subscribe; `allow` names rights in this channel that it gets besides."""

    allow: list[str] | None = None


class ConnectSubscriptionBody(SubscriptionBody, frozen=True):
    """What a subscription from the start gets.

    `cache_recover` has it begin with the newest publication, for clients that cannot ask for a recovery because they do not
    know the channel. It means something only where the channel recovers in cache mode, and elsewhere nothing.
    """

    cache_recover: bool | None = None


class ConnectGrant(msgspec.Struct, frozen=True):
    """Who connects, until when, and with what."""

    user: str | None = None
    expire_at: float | None = None
    info: Raw = NO_DATA
    b64info: str | None = None
    data: Raw = NO_DATA
    b64data: str | None = None
    channels: list[str] | None = None
    subs: dict[str, ConnectSubscriptionBody | None] | None = None
    meta: Raw = NO_DATA
    caps: list[WrittenCapability | None] | None = None


class RpcAnswer(msgspec.Struct, frozen=True):
    """What the method answers."""

    data: Raw = NO_DATA
    b64data: str | None = None


class PublishGrant(msgspec.Struct, frozen=True):
    """The publication may go out, with these changes."""

    data: Raw = NO_DATA
    b64data: str | None = None
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None
    version: int | None = None
    version_epoch: str | None = None


class Renewal(msgspec.Struct, frozen=True):
    """How a connection or a subscription goes on."""

    expired: bool | None = None
    expire_at: float | None = None
    info: Raw = NO_DATA
    b64info: str | None = None


class ConnectionRenewal(Renewal, frozen=True):
    """How a connection goes on; `caps` are all that it has from now on."""

    meta: Raw = NO_DATA
    caps: list[WrittenCapability | None] | None = None


_encode: Final = msgspec.json.Encoder().encode


def encode_call(call: msgspec.Struct) -> bytes:
    """Write a request's body."""
    return _encode(call)


def decoder_of(result: type[R]) -> "msgspec.json.Decoder[Response[R]]":
    """Make the reader of an event's responses."""
    kind: Any = Response
    return msgspec.json.Decoder(kind[result])
