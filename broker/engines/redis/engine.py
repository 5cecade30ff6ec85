"""The engine of a fleet: the ports, put together over one link."""

from collections.abc import Mapping
from typing import Self

import msgspec

from broker.cache import SharedCache
from broker.control import Control
from broker.engines.redis.address import parse_address
from broker.engines.redis.fleet import Fleet
from broker.engines.redis.link import Link
from broker.engines.redis.streams import RedisStreams
from broker.errors import EngineUnavailable
from broker.history import History
from broker.limits import Limits
from broker.model import Publication, PublishOptions
from broker.presence import Presence, UserPresence
from broker.pubsub import PubSub
from broker.revocation import Revocation
from config.clock import Clock
from config.settings import BrokerSettings

__all__ = ["RedisEngine"]

# No client can name it, and what is tried there is gone in a second.
_TRIAL_CHANNEL = ""
_TRIAL = PublishOptions(history_size=1, history_ttl_s=1, history_meta_ttl_s=1, idempotency_key="start", idempotency_ttl_s=1)


class RedisEngine:
    """Everything in Redis or Valkey; several nodes with the same address and prefix are one fleet."""

    pubsub: PubSub
    history: History
    presence: Presence
    users: UserPresence
    control: Control
    limits: Limits
    revocation: Revocation
    cache: SharedCache

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self._fleet = Fleet(link, clock)
        self._streams = RedisStreams(link, clock)
        self.pubsub = self.history = self._streams
        self.presence = self._fleet.presence
        self.users = self._fleet.users
        self.control = self._fleet.control
        self.limits = self._fleet.limits
        self.revocation = self._fleet.revocation
        self.cache = self._fleet.cache

    @classmethod
    def of(cls, settings: BrokerSettings, clock: Clock) -> Self:
        """Make the engine that the settings describe.

        Raises:
            SettingsError: The address, or what stands beside it, is wrong.
        """
        return cls(Link(parse_address(settings), settings, clock), clock)

    def gauges(self) -> Mapping[str, int]:
        """Servers and what is listened to, and what the node shares with its fleet (see the two `…Statistics`)."""
        return {**msgspec.structs.asdict(self.link.statistics()), **msgspec.structs.asdict(self._fleet.statistics())}

    async def start(self) -> None:
        """Connect, and try what will be needed, so that a missing right is told now.

        Raises:
            EngineUnavailable: One line that names the setting and says what to do.
        """
        await self.link.start()
        try:
            topic = self.link.keys.topic(_TRIAL_CHANNEL)
            await self.link.listen(topic, _pass_over)
            await self._streams.publish(_TRIAL_CHANNEL, Publication(b"{}"), _TRIAL)
            await self.link.unlisten(topic)
            await self._fleet.start()
        except EngineUnavailable as exc:
            await self.close()
            raise self.link.unusable(exc) from exc

    async def close(self) -> None:
        await self._fleet.close()
        await self.link.close()


def _pass_over(payload: bytes) -> None:
    """What was tried is no message to anybody."""
