"""The engine of a single process: the ports, put together."""

from collections.abc import Mapping

from broker.cache import NoSharedCache, SharedCache
from broker.control import Control
from broker.engines.memory.control import MemoryControl
from broker.engines.memory.limits import MemoryLimits
from broker.engines.memory.presence import MemoryPresence, MemoryUserPresence
from broker.engines.memory.revocation import MemoryRevocation
from broker.engines.memory.streams import Streams
from broker.history import History
from broker.limits import Limits
from broker.presence import Presence, UserPresence
from broker.pubsub import PubSub
from broker.revocation import Revocation
from config.clock import Clock

__all__ = ["MemoryEngine"]


class MemoryEngine:
    """Everything in memory, gone with the process. It has no tasks and no timers, and none of its coroutines suspends."""

    pubsub: PubSub
    history: History
    presence: Presence
    users: UserPresence
    control: Control
    limits: Limits
    revocation: Revocation
    cache: SharedCache

    def __init__(self, clock: Clock) -> None:
        self._streams = Streams(clock)
        self._presence = MemoryPresence()
        self._users = MemoryUserPresence()
        self._limits = MemoryLimits(clock)
        self._revocation = MemoryRevocation(clock)
        self.pubsub = self.history = self._streams
        self.presence = self._presence
        self.users = self._users
        self.control = MemoryControl()
        self.limits = self._limits
        self.revocation = self._revocation
        self.cache = NoSharedCache()

    def gauges(self) -> Mapping[str, int]:
        """Streams, and channels with subscribers."""
        return {"streams": self._streams.held, "topics": self._streams.subscribed}

    async def start(self) -> None:
        """Nothing needs to be opened."""

    async def close(self) -> None:
        """Forget everything."""
        for part in (self._streams, self._presence, self._users, self._limits, self._revocation):
            part.clear()
