"""PubSub and history in Redis. What happens to a stream happens in one script, so in one order for all nodes.

A node's own publications come back to it through Redis like all others: there is one path, and one order.
"""

import secrets
import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from broker.engines.redis.envelope import (
    Garbled,
    decode_kept,
    decode_message,
    encode_body,
    encode_membership,
    encode_unkept,
)
from broker.engines.redis.link import Argument, Link
from broker.engines.redis.scripts import load_script
from broker.errors import EngineUnavailable, PositionLost
from broker.model import Join, Leave, Position, Publication, Published, PublishOptions, Slice
from broker.pubsub import Deliver
from config.clock import Clock
from config.logs import get_logger

__all__ = ["RedisStreams"]

_log = get_logger()
_LOGGED_EVERY: Final = 1000

_PUBLISH: Final = load_script("stream", "publish")
_PUBLISH_ONCE: Final = load_script("stream", "publish_once")
_READ: Final = load_script("stream", "read")

_DELIVERED: Final = Published(Position(0, ""))
# Maps a random byte to a letter; that some letters come up more often is of no matter for an epoch.
_LETTERS: Final = bytes(ord(string.ascii_letters[byte % 52]) for byte in range(256))
_LONGEST_S: Final = 1e9


class RedisStreams:
    """The ports PubSub and History in one object."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._keys, self._clock = link, link.keys, clock
        self._deliver: Deliver | None = None
        self._garbled = 0
        link.prepare(_PUBLISH, _PUBLISH_ONCE)

    # PubSub

    def on_message(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def on_resume(self, call: Callable[[], None]) -> None:
        self._link.on_resume(call)

    async def subscribe(self, channel: str) -> None:
        await self._link.listen(self._keys.topic(channel), partial(self._receive, channel))

    async def unsubscribe(self, channel: str) -> None:
        await self._link.unlisten(self._keys.topic(channel))

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        topic = self._keys.topic(channel)
        key = options.idempotency_key
        if options.keeps:
            keys = [self._keys.meta(channel), self._keys.publications(channel)]
            if key:
                keys.append(self._keys.answer(channel, key))
            return _published(await self._link.run(_PUBLISH, keys, self._arguments(topic, publication, options)))
        message = encode_unkept(publication)
        if key:
            arguments = (self._link.publish_verb, topic, message, _ms(options.idempotency_ttl_s))
            return _published(await self._link.run(_PUBLISH_ONCE, (self._keys.answer(channel, key),), arguments))
        await self._link.publish(topic, message)
        return _DELIVERED

    async def publish_membership(self, channel: str, message: Join | Leave) -> None:
        await self._link.publish(self._keys.topic(channel), encode_membership(message))

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
        offset, epoch = ("", "") if since is None else (since.offset, since.epoch)
        keys = (self._keys.meta(channel), self._keys.publications(channel))
        arguments = (_fresh_epoch(), _ms(meta_ttl_s), offset, epoch, limit, int(reverse))
        is_lost, top, now, first, bodies = await self._link.run(_READ, keys, arguments)
        if is_lost:
            raise PositionLost(f"{channel} has another epoch")
        position = Position(top, now.decode("ascii"))
        try:
            publications = decode_kept(bodies, first, position.epoch)
        except Garbled as exc:
            raise EngineUnavailable(f"the stream holds something else: {exc}") from exc
        if reverse:
            publications.reverse()
        return Slice(tuple(publications), position)

    async def remove(self, channel: str) -> None:
        key = self._keys.publications(channel)
        await self._link.command("UNLINK", key, key=key)

    def _arguments(self, topic: str, publication: Publication, options: PublishOptions) -> Sequence[Argument]:
        return (
            self._link.publish_verb,
            topic,
            _fresh_epoch(),
            encode_body(publication),
            int(self._clock.now().timestamp() * 1000),
            options.history_size,
            _ms(options.history_ttl_s),
            _ms(options.history_meta_ttl_s),
            f"{options.version:020}",
            options.version_epoch,
            _ms(options.idempotency_ttl_s),
        )

    def _receive(self, channel: str, message: bytes) -> None:
        try:
            decoded = decode_message(message)
        except Garbled as exc:
            self._garbled += 1
            if self._garbled % _LOGGED_EVERY == 1:
                _log.warning("pubsub.garbled", reason=str(exc), count=self._garbled)
            return
        if self._deliver is not None:
            self._deliver(channel, decoded)


def _published(answer: tuple[int, bytes, int]) -> Published:
    offset, epoch, is_suppressed = answer
    return Published(Position(offset, epoch.decode("ascii") if offset else ""), suppressed=bool(is_suppressed))


def _fresh_epoch() -> bytes:
    """Draw an epoch, in case that the script needs one; never one for two calls, lest an emptied Redis be given it twice."""
    return secrets.token_bytes(8).translate(_LETTERS)


def _ms(seconds: float) -> int:
    return max(1, round(min(seconds, _LONGEST_S) * 1000))
