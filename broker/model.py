"""The values of the live path. Immutable; payloads are raw JSON bytes that nobody re-encodes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = ["NO_TAGS", "ClientInfo", "Join", "Leave", "Position", "Publication", "PublishOptions", "Published", "Slice"]

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class ClientInfo(msgspec.Struct, frozen=True, gc=False):
    """Who a client is, as others may see it; the infos are JSON bytes, empty for none."""

    user: str
    client: str
    conn_info: bytes = b""
    chan_info: bytes = b""


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place in a stream. Offsets of different epochs cannot be compared."""

    offset: int
    epoch: str


class Publication(msgspec.Struct, frozen=True):
    """A message in a channel.

    `data` is JSON text without raw newlines (on JSON channels) or any bytes; `offset` 0 means that it is in no stream;
    `info` is set where a client published it. `delta` lets it travel as a patch of the publication before it. `time_ms` is the
    Unix time at which the engine took it into a stream, by which a node tells how late it arrives; 0 means that it cannot be
    late: it is delivered in the moment of its publishing, or in no stream. It never reaches a client. Neither does `trace`, the
    `traceparent` of who published it, which is there only where that is written (`config.tracing`).
    """

    data: bytes
    offset: int = 0
    epoch: str = ""
    info: ClientInfo | None = None
    tags: Mapping[str, str] = NO_TAGS
    delta: bool = False
    time_ms: int = 0
    trace: str = ""


class Join(msgspec.Struct, frozen=True):
    """A client came into a channel."""

    info: ClientInfo


class Leave(msgspec.Struct, frozen=True):
    """A client left a channel."""

    info: ClientInfo


class PublishOptions(msgspec.Struct, frozen=True):
    """How a publication is kept and whether it counts at all.

    `history_size` and `history_ttl_s` of 0 keep nothing. An `idempotency_key` that was seen in this channel within
    `idempotency_ttl_s` publishes nothing and answers what the first one got. With `version` > 0 a publication is dropped
    when the stream already holds that version or a later one of the same `version_epoch`.
    """

    history_size: int = 0
    history_ttl_s: float = 0.0
    history_meta_ttl_s: float = 720 * 3600.0
    idempotency_key: str = ""
    idempotency_ttl_s: float = 300.0
    version: int = 0
    version_epoch: str = ""

    @property
    def keeps(self) -> bool:
        """Whether the publication enters a stream."""
        return self.history_size > 0 and self.history_ttl_s > 0


class Published(msgspec.Struct, frozen=True, gc=False):
    """What became of a publish: the position it got (offset 0 without a stream), and whether it was delivered now."""

    position: Position
    suppressed: bool = False


class Slice(msgspec.Struct, frozen=True):
    """A part of a stream in the order asked for, and the stream's top; never with a hole."""

    publications: tuple[Publication, ...]
    top: Position
