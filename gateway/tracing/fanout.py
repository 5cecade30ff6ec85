"""The fan-out of a traced publication on this node: one span, until what it wrote has left in this turn of the loop."""

import asyncio

from broker.channels import namespace_of
from broker.model import Join, Leave, Publication
from broker.pubsub import Deliver
from config.tracing import Kind, Span, Tracing
from gateway.fanout import Turn
from gateway.hub import Hub

__all__ = ["TracedDelivery"]


class TracedDelivery:
    """Stands before a node's own `deliver`. Synchronous, called in the loop's thread."""

    def __init__(self, deliver: Deliver, hub: Hub, turn: Turn, tracing: Tracing, *, node: str) -> None:
        self._deliver, self._hub, self._turn, self._tracing, self._node = deliver, hub, turn, tracing, node

    def __call__(self, channel: str, message: Publication | Join | Leave) -> None:
        trace = message.trace if isinstance(message, Publication) else ""
        room = self._hub.room(channel) if trace else None
        if room is None:
            self._deliver(channel, message)
            return
        assert isinstance(message, Publication)
        span = self._tracing.begin(
            "fanout",
            Kind.CONSUMER,
            parent=trace,
            attributes={
                "heliograph.namespace": namespace_of(channel),
                "heliograph.node": self._node,
                "heliograph.subscribers": room.size,
                "messaging.message.body.size": len(message.data),
            },
        )
        frames, messages = self._turn.frames_written, self._turn.messages_written
        self._deliver(channel, message)
        if room.held is not None:
            # It waits behind a gap, which is filled from history: what is written then is no fan-out of this publication.
            span.note({"heliograph.held": True})
        # The turn's flush was asked for by the delivery at the latest, so it comes before this.
        asyncio.get_running_loop().call_soon(self._end, span, frames, messages)

    def _end(self, span: Span, frames: int, messages: int) -> None:
        """Tell of the whole turn: several publications may have left in the same frames."""
        turn = self._turn
        span.note(
            {
                "heliograph.turn.frames": turn.frames_written - frames,
                "heliograph.turn.messages": turn.messages_written - messages,
            }
        )
        span.end()
