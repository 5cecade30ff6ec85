"""Port: publications from anywhere to every node that has a room for their channel."""

from collections.abc import Callable
from typing import Protocol

from broker.model import Join, Leave, Publication, Published, PublishOptions

__all__ = ["Deliver", "PubSub"]


class Deliver(Protocol):
    """The node's one door for what an engine brings; synchronous, called in the loop's thread."""

    def __call__(self, channel: str, message: Publication | Join | Leave) -> None:
        """Take one message; those of one channel come in the order of their offsets."""


class PubSub(Protocol):
    """Fan-out between nodes.

    Order holds per channel: calls for one channel are carried out in the order in which they are begun, whether or not those
    before them are answered. Delivery is at most once: an engine may lose messages, and positions tell where. Coroutines of
    this port may be stepped outside of a task: until its first suspension none may ask for the current task.
    """

    def on_message(self, deliver: Deliver) -> None:
        """Say who takes what arrives; called once, before anything is subscribed."""

    def on_resume(self, call: Callable[[], None]) -> None:
        """Have `call` called, in the loop, after messages of any channel may have been missed and all are received again.

        Positions should be compared then. An engine that misses nothing never calls it.
        """

    async def subscribe(self, channel: str) -> None:
        """Have this node receive `channel`; once it returns, no later publication is missed.

        Raises:
            EngineUnavailable: Nothing can be said about what will arrive.
        """

    async def unsubscribe(self, channel: str) -> None:
        """Stop receiving `channel`; what is under way may still arrive."""

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        """Append to the channel's stream where it keeps one, and deliver; both or neither, in one order for all nodes.

        Idempotency keys and versions are judged in the same step (see `PublishOptions`).

        Raises:
            EngineUnavailable: Whether it was published is unknown; the same idempotency key makes a repeat safe.
        """

    async def publish_membership(self, channel: str, message: Join | Leave) -> None:
        """Tell every node that a client came or went; never in a stream."""
