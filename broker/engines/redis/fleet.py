"""What a node shares with the others besides channels: its lease, presence, words, limits. Put together, opened and closed."""

from uuid import uuid4

import msgspec

from broker.control import Forget, Recheck
from broker.engines.redis.cache import RedisCache
from broker.engines.redis.control import RedisControl
from broker.engines.redis.heartbeat import Heartbeat
from broker.engines.redis.intercom import Intercom
from broker.engines.redis.leases import Leases
from broker.engines.redis.limits import RedisLimits
from broker.engines.redis.link import Link
from broker.engines.redis.places import Places
from broker.engines.redis.presence import RedisPresence
from broker.engines.redis.revocation import RedisRevocation
from broker.engines.redis.users import RedisUserPresence
from config.clock import Clock

__all__ = ["Fleet", "FleetStatistics"]


class FleetStatistics(msgspec.Struct, frozen=True):
    """What a node shares with its fleet.

    Attributes:
        nodes: How many were living at the last beat, this one included.
        entries: Presence entries and users that this node has others find.
        owed: Those of them that Redis may not know as they are; above 0 for long only while it is away.
        words: Revoked tokens and users that are held.
    """

    nodes: int
    entries: int
    owed: int
    words: int


class Fleet:
    """The ports of one node that do not carry publications. A process without a node of clients takes part as well."""

    def __init__(self, link: Link, clock: Clock) -> None:
        places, node_id = Places(link.keys), uuid4().hex
        self.intercom = Intercom(link, places, node_id)
        self.leases = Leases(link, places, clock, node_id)
        self.presence = RedisPresence(link, places, self.leases)
        self.users = RedisUserPresence(link, places, self.leases)
        self.control = RedisControl(link, places, self.leases, self.intercom, clock)
        self.limits = RedisLimits(link, places)
        self.cache = RedisCache(link, places)
        self.revocation = RedisRevocation(link, places, self.intercom, clock, on_late=lambda: self.control.send_here(Recheck()))
        self.heartbeat = Heartbeat(self.leases, (self.presence, self.users), (self.revocation.check,), clock)
        # What was told while nobody listened is made good at once, not at the next beat.
        link.on_resume(self.heartbeat.wake)
        link.on_resume(lambda: self.control.send_here(Forget()))

    async def start(self) -> None:
        """Take part; the link is open, and `on_command` has been called where there is a node.

        Raises:
            EngineUnavailable: It does not answer.
        """
        await self.intercom.start()
        self.control.start()
        await self.heartbeat.start()

    def statistics(self) -> FleetStatistics:
        """Count."""
        presence, users = self.presence.holdings, self.users.holdings
        return FleetStatistics(
            nodes=len(self.leases.nodes),
            entries=len(presence) + len(users),
            owed=presence.owed + users.owed,
            words=self.revocation.statistics().held,
        )

    async def close(self) -> None:
        """Leave the fleet, while the link is still open; may come twice, or before the start."""
        await self.control.close()
        await self.heartbeat.close()
