"""What a subscriber is owed when it enters a stream: a pure function from what it has, what is kept and what came meanwhile.

`recovered` is true only when it is certain that nothing is missing: the epoch is the same, no publication between the
client's offset and the top is gone, and there are no more than the limit.
"""

from collections.abc import Sequence
from enum import Enum

import msgspec

from broker.model import Position, Publication, Slice

__all__ = ["Gap", "Mode", "Recovery", "merge", "recover", "recover_cache"]


class Mode(Enum):
    """How a subscription recovers."""

    STREAM = "stream"
    CACHE = "cache"


class Gap(Exception):
    """Publications that came while the client was entering do not join what was read: nobody knows what is missing."""


class Recovery(msgspec.Struct, frozen=True):
    """What the reply tells; `position` is the client's own after a recovery, else the top."""

    is_recovered: bool
    position: Position
    publications: tuple[Publication, ...] = ()


def merge(read: Slice, buffered: Sequence[Publication]) -> Slice:
    """Join a slice that was read with the live publications that arrived while it was read.

    Raises:
        Gap: They do not meet.
    """
    offset = read.top.offset
    later: list[Publication] = []
    for publication in buffered:
        if not publication.offset or publication.offset <= offset:
            continue
        if publication.epoch != read.top.epoch or publication.offset != offset + 1:
            raise Gap
        later.append(publication)
        offset = publication.offset
    if not later:
        return read
    return Slice((*read.publications, *later), Position(offset, read.top.epoch))


def recover(asked: Position, kept: Slice | None, top: Position, *, limit: int) -> Recovery:
    """Decide a recovery in stream mode.

    Args:
        asked: What the client holds; an empty epoch matches any.
        kept: Everything kept after it (one more than `limit` is enough to see); None when its epoch is not the stream's.
        top: The stream's top.
        limit: The most that may be recovered.
    """
    failed = Recovery(False, top)
    if kept is None or asked.offset > top.offset:
        return failed
    own = Position(asked.offset, top.epoch)
    if asked.offset == top.offset:
        return Recovery(True, own)
    missed = kept.publications
    is_whole = len(missed) == top.offset - asked.offset and missed[0].offset == asked.offset + 1
    return Recovery(True, own, missed) if is_whole and len(missed) <= limit else failed


def recover_cache(asked: Position | None, newest: Publication | None, top: Position) -> Recovery:
    """Decide a recovery in cache mode: the newest publication, unless the client has it.

    Args:
        asked: What the client holds, None when it holds nothing.
        newest: The newest publication kept, if it stands at the top.
    """
    if asked is not None and asked.offset > 0 and asked == top:
        return Recovery(True, top)
    if newest is None or newest.offset != top.offset:
        return Recovery(False, top)
    return Recovery(True, top, (newest,))
