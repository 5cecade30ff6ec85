"""What an engine is: all real-time ports, opened and closed as one. Composition roots hand it around under this name."""

from collections.abc import Mapping
from typing import Protocol

from broker.cache import SharedCache
from broker.control import Control
from broker.history import History
from broker.limits import Limits
from broker.presence import Presence, UserPresence
from broker.pubsub import PubSub
from broker.revocation import Revocation

__all__ = ["Engine"]


class Engine(Protocol):
    """One implementation of every real-time port; the ports may share state and connections."""

    @property
    def pubsub(self) -> PubSub: ...

    @property
    def history(self) -> History: ...

    @property
    def presence(self) -> Presence: ...

    @property
    def users(self) -> UserPresence: ...

    @property
    def control(self) -> Control: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def revocation(self) -> Revocation: ...

    @property
    def cache(self) -> SharedCache: ...

    def gauges(self) -> Mapping[str, int]:
        """Tell how much the engine holds, by names that stay the same; cheap, for metrics."""

    async def start(self) -> None:
        """Open what the ports need; called once, after `on_message` and `on_command`, before any other use.

        Raises:
            EngineUnavailable: What it stands on does not answer.
        """

    async def close(self) -> None:
        """Let go of everything; may come twice, or before the start. The ports are not used after it."""
