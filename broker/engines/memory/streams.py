"""PubSub and history of a single process. They share one state: what is appended is what is delivered.

No coroutine here suspends, so each call is atomic in the loop's thread, and what it delivers has reached the node's door
when it returns. Positions hold as long as the process lives; a new process makes new epochs.
"""

import secrets
import string
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import inf
from typing import Final

import msgspec

from broker.engines.memory.deadlines import SWEEP, Deadlines
from broker.errors import PositionLost
from broker.model import Join, Leave, Position, Publication, Published, PublishOptions, Slice
from broker.pubsub import Deliver
from config.clock import Clock

__all__ = ["StreamStatistics", "Streams"]

_NO_POSITION: Final = Position(0, "")
_DELIVERED: Final = Published(_NO_POSITION)
# Maps a random byte to a letter; that some letters come up more often is of no matter for an epoch.
_LETTERS: Final = bytes(ord(string.ascii_letters[byte % 52]) for byte in range(256))


class StreamStatistics(msgspec.Struct, frozen=True):
    """What is held: streams, all publications in them, idempotency keys, notes of when something ends, subscribed channels."""

    streams: int
    publications: int
    answers: int
    deadlines: int
    subscribed: int


class _Stream:
    """One channel's past. `publications` is contiguous and ends at `top`, so an index follows from an offset.

    An empty deque takes 0.7 KB; a channel without publications therefore has none.
    """

    __slots__ = (
        "epoch",
        "expires_at",
        "expiry_noted_at",
        "forget_at",
        "forget_noted_at",
        "publications",
        "top",
        "version",
        "version_epoch",
    )

    def __init__(self) -> None:
        self.epoch = secrets.token_bytes(8).translate(_LETTERS).decode()
        self.top = 0
        self.publications: deque[Publication] | None = None
        self.version = 0
        self.version_epoch = ""
        # Monotonic readings: when the publications and the stream go, and when the sweep looks whether they do.
        self.expires_at = inf
        self.forget_at = inf
        self.expiry_noted_at = inf
        self.forget_noted_at = inf

    def drop(self) -> None:
        """Let the publications go; top, epoch and version stay."""
        self.publications = None
        self.expires_at = inf

    def is_superseded(self, options: PublishOptions) -> bool:
        """Whether the stream has the version already; another `version_epoch` always counts as new."""
        return 0 < options.version <= self.version and options.version_epoch in ("", self.version_epoch)


class Streams:
    """The ports PubSub and History in one object."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deliver: Deliver | None = None
        self._subscribed: set[str] = set()
        self._streams: dict[str, _Stream] = {}
        # At most one living note of each kind per stream; it finds out itself whether its moment has moved.
        self._expiries: Deadlines[str] = Deadlines()
        self._forgets: Deadlines[str] = Deadlines()
        # What idempotency keys got, by (channel, key), each with its end.
        self._answers: dict[tuple[str, str], tuple[float, Published]] = {}
        self._answer_ends: Deadlines[tuple[str, str]] = Deadlines()

    @property
    def held(self) -> int:
        """How many streams there are."""
        return len(self._streams)

    @property
    def subscribed(self) -> int:
        """How many channels are brought to this node."""
        return len(self._subscribed)

    def statistics(self) -> StreamStatistics:
        """Count what is held; walks all streams."""
        return StreamStatistics(
            streams=len(self._streams),
            publications=sum(len(stream.publications or ()) for stream in self._streams.values()),
            answers=len(self._answers),
            deadlines=len(self._expiries) + len(self._forgets) + len(self._answer_ends),
            subscribed=len(self._subscribed),
        )

    def clear(self) -> None:
        """Forget everything but who takes messages."""
        self._subscribed.clear()
        self._streams.clear()
        self._answers.clear()
        self._expiries = Deadlines()
        self._forgets = Deadlines()
        self._answer_ends = Deadlines()

    # PubSub

    def on_message(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def on_resume(self, call: Callable[[], None]) -> None:
        """Nothing is ever missed here."""

    async def subscribe(self, channel: str) -> None:
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        now = self._clock.monotonic()
        key = options.idempotency_key
        if key and (answer := self._answers.get((channel, key))) and now < answer[0]:
            return Published(answer[1].position, suppressed=True)
        published = _DELIVERED
        is_new = True
        if options.keeps:
            stream = self._use(channel, now, options.history_meta_ttl_s)
            if is_new := not stream.is_superseded(options):
                publication = self._append(channel, stream, publication, options, now)
            published = Published(Position(stream.top, stream.epoch), suppressed=not is_new)
        if key:
            self._remember((channel, key), published, now, options.idempotency_ttl_s)
        if is_new and channel in self._subscribed and self._deliver is not None:
            self._deliver(channel, publication)
        return published

    async def publish_membership(self, channel: str, message: Join | Leave) -> None:
        if channel in self._subscribed and self._deliver is not None:
            self._deliver(channel, message)

    # History

    async def read(
        self,
        channel: str,
        *,
        since: Position | None,
        limit: int,
        reverse: bool = False,
        meta_ttl_s: float = 720 * 3600.0,
    ) -> Slice:
        stream = self._use(channel, self._clock.monotonic(), meta_ttl_s)
        if since is not None and since.epoch not in ("", stream.epoch):
            raise PositionLost(f"{channel} has another epoch")
        top = Position(stream.top, stream.epoch)
        if limit == 0 or stream.publications is None:
            return Slice((), top)
        kept = stream.publications
        begin = stream.top - len(kept)  # the offset just before the oldest kept
        if reverse:
            return Slice(_backward(kept, begin, since, limit), top)
        start = 0 if since is None else min(max(0, since.offset - begin), len(kept))
        stop = len(kept) if limit < 0 else min(len(kept), start + limit)
        return Slice(_cut(kept, start, stop), top)

    async def remove(self, channel: str) -> None:
        if stream := self._streams.get(channel):
            stream.drop()

    # Both

    def _append(
        self, channel: str, stream: _Stream, publication: Publication, options: PublishOptions, now: float
    ) -> Publication:
        stream.top += 1
        stream.version = options.version
        stream.version_epoch = options.version_epoch
        kept = Publication(
            publication.data,
            stream.top,
            stream.epoch,
            publication.info,
            publication.tags,
            delta=publication.delta,
            trace=publication.trace,
        )
        publications = stream.publications
        if publications is None:
            publications = stream.publications = deque()
        publications.append(kept)
        while len(publications) > options.history_size:
            publications.popleft()
        stream.expires_at = now + options.history_ttl_s
        if stream.expiry_noted_at == inf:
            self._note_expiry(channel, stream)
        return kept

    def _use(self, channel: str, now: float, meta_ttl_s: float) -> _Stream:
        """Find the living stream of a channel, or begin one; its life is prolonged."""
        self._sweep(now)
        stream = self._streams.get(channel)
        if stream is None or now >= stream.forget_at:
            stream = self._streams[channel] = _Stream()
        elif now >= stream.expires_at:
            stream.drop()
        stream.forget_at = now + meta_ttl_s
        if stream.forget_noted_at == inf:
            self._note_forget(channel, stream)
        return stream

    def _note_expiry(self, channel: str, stream: _Stream) -> None:
        stream.expiry_noted_at = stream.expires_at
        if stream.publications is not None:
            self._expiries.note(stream.expires_at, channel)

    def _note_forget(self, channel: str, stream: _Stream) -> None:
        stream.forget_noted_at = stream.forget_at
        self._forgets.note(stream.forget_at, channel)

    def _sweep(self, now: float) -> None:
        """Look at a few notes that are due. One that its stream does not know is of an earlier stream of that name."""
        for _ in range(SWEEP):
            if (due := self._expiries.pop_due(now)) is None:
                break
            stream = self._streams.get(due[1])
            if stream is not None and stream.expiry_noted_at == due[0]:
                if now >= stream.expires_at:
                    stream.drop()
                self._note_expiry(due[1], stream)
        for _ in range(SWEEP):
            if (due := self._forgets.pop_due(now)) is None:
                break
            stream = self._streams.get(due[1])
            if stream is not None and stream.forget_noted_at == due[0]:
                if now >= stream.forget_at:
                    del self._streams[due[1]]
                else:
                    self._note_forget(due[1], stream)

    def _remember(self, key: tuple[str, str], published: Published, now: float, ttl_s: float) -> None:
        self._answers[key] = (now + ttl_s, published)
        self._answer_ends.note(now + ttl_s, key)
        for _ in range(SWEEP):
            if (due := self._answer_ends.pop_due(now)) is None:
                return
            if (answer := self._answers.get(due[1])) and answer[0] <= now:
                del self._answers[due[1]]


def _backward(kept: deque[Publication], begin: int, since: Position | None, limit: int) -> tuple[Publication, ...]:
    """Cut the descending part below `since`; empty where its first one is not kept."""
    stop = len(kept) if since is None else since.offset - 1 - begin
    if not 0 < stop <= len(kept):
        return ()
    start = 0 if limit < 0 else max(0, stop - limit)
    return tuple(islice(reversed(kept), len(kept) - stop, len(kept) - start))


def _cut(kept: deque[Publication], start: int, stop: int) -> tuple[Publication, ...]:
    """Cut from the nearer end: recovery asks for the last few of perhaps many."""
    if start <= len(kept) // 2:
        return tuple(islice(kept, start, stop))
    tail: Iterable[Publication] = islice(reversed(kept), len(kept) - stop, len(kept) - start)
    return tuple(tail)[::-1]
