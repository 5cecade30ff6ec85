"""An engine whose publications are traced: made around one where tracing is on, and nowhere else."""

from collections.abc import Callable, Mapping

import msgspec

from broker.cache import SharedCache
from broker.channels import namespace_of
from broker.control import Control
from broker.engines.engine import Engine
from broker.history import History
from broker.limits import Limits
from broker.model import Join, Leave, Publication, Published, PublishOptions
from broker.presence import Presence, UserPresence
from broker.pubsub import Deliver, PubSub
from broker.revocation import Revocation
from config.tracing import Kind, below

__all__ = ["TracedEngine", "TracedPubSub"]


class TracedPubSub:
    """Implements `broker.pubsub.PubSub`: a publication that is made within a trace carries it to every node."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def on_message(self, deliver: Deliver) -> None:
        self._pubsub.on_message(deliver)

    def on_resume(self, call: Callable[[], None]) -> None:
        self._pubsub.on_resume(call)

    async def subscribe(self, channel: str) -> None:
        await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._pubsub.unsubscribe(channel)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        span = below("publish", Kind.PRODUCER)
        if span is None or not span.is_sampled:
            return await self._pubsub.publish(channel, publication, options)
        span.note({"heliograph.namespace": namespace_of(channel), "messaging.message.body.size": len(publication.data)})
        try:
            traced = msgspec.structs.replace(publication, trace=span.traceparent)
            published = await self._pubsub.publish(channel, traced, options)
            span.note({"heliograph.offset": published.position.offset, "heliograph.suppressed": published.suppressed})
            return published
        except Exception as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()

    async def publish_membership(self, channel: str, message: Join | Leave) -> None:
        await self._pubsub.publish_membership(channel, message)


class TracedEngine:
    """Implements `broker.engines.engine.Engine`; all but its publications is the inner one's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pubsub = TracedPubSub(engine.pubsub)

    @property
    def pubsub(self) -> PubSub:
        return self._pubsub

    @property
    def history(self) -> History:
        return self._engine.history

    @property
    def presence(self) -> Presence:
        return self._engine.presence

    @property
    def users(self) -> UserPresence:
        return self._engine.users

    @property
    def control(self) -> Control:
        return self._engine.control

    @property
    def limits(self) -> Limits:
        return self._engine.limits

    @property
    def revocation(self) -> Revocation:
        return self._engine.revocation

    @property
    def cache(self) -> SharedCache:
        return self._engine.cache

    def gauges(self) -> Mapping[str, int]:
        return self._engine.gauges()

    async def start(self) -> None:
        await self._engine.start()

    async def close(self) -> None:
        await self._engine.close()
