"""Which nodes live: each holds a lease on the server that ends by itself unless it is renewed.

What a node leaves for others to find (presence) names its lease and counts only while that lease lives. So keeping a
million entries fresh costs one renewal per node, and a node that dies takes all of its entries with it at once.

A lease that has ended, or that the server has forgotten, never comes back: its node takes a new one, under another name, and
enters everything again. Whoever clears up after an ended lease therefore cannot meet a living node's entries.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from broker.engines.redis.link import Argument, Link
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script
from config.clock import Clock

__all__ = ["BEAT_S", "LEASE_S", "Beat", "Leases"]

_LEASE_LIVING: Final = load_script("lease_living")
_LEASE_BEAT: Final = load_script("lease_beat")

LEASE_S: Final = 30.0
BEAT_S: Final = 10.0

# Clearing up is claimed by one node for so long; it claims it anew with each beat.
_CLAIM_S: Final = 2.5 * BEAT_S
# So many ended leases are remembered, so that asking for them again costs nothing.
_REMEMBERED: Final = 10_000


class Beat(msgspec.Struct, frozen=True):
    """What a renewal told: whether the lease had been lost (there is a new one), and after whom this node is to clear up."""

    was_lost: bool
    ended: frozenset[str]


class Leases:
    """This node's lease and what it knows of the others'. Remaining lives are told by the server, and counted here."""

    def __init__(self, link: Link, places: Places, clock: Clock, node_id: str) -> None:
        self._link, self._places, self._clock = link, places, clock
        self.node_id = node_id
        self._number = 0
        # A new one may have been taken without our hearing of it: the loss is told with the first beat that is answered.
        self._was_lost = False
        self._ends: dict[str, float] = {}
        self._ended: set[str] = set()

    @property
    def lease(self) -> str:
        """The lease that holds now; another one after each loss."""
        return f"{self.node_id}.{self._number}"

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that lived when they were last looked at, this one included."""
        now = self._clock.monotonic()
        return frozenset(lease.rpartition(".")[0] for lease, ends in self._ends.items() if ends > now)

    async def renew(self) -> Beat:
        """Renew the lease, take a new one where it was lost (or never taken), and learn who lives.

        Raises:
            EngineUnavailable: It is unknown whether it was renewed.
        """
        was_taken = self._number > 0
        ended = await self._beat(is_new=False) if was_taken else None
        if ended is None:
            self._was_lost = self._was_lost or was_taken
            self._number += 1
            ended = await self._beat(is_new=True)
            assert ended is not None
        was_lost, self._was_lost = self._was_lost, False
        return Beat(was_lost, ended)

    async def look(self) -> None:
        """Learn who lives, without renewing anything.

        Raises:
            EngineUnavailable: Nothing was learnt.
        """
        asked_at = self._clock.monotonic()
        self._learn(await self._link.run(_LEASE_LIVING, [self._places.leases], []), asked_at)

    async def living(self, leases: Iterable[str]) -> frozenset[str]:
        """Tell which of these leases hold; asks the server only about those that nothing is known of.

        Raises:
            EngineUnavailable: It cannot be told.
        """
        now = self._clock.monotonic()
        asked = frozenset(leases)
        unknown = {lease for lease in asked if self._ends.get(lease, now) <= now} - self._ended
        if unknown:
            await self.look()
            if len(self._ended) > _REMEMBERED:
                self._ended.clear()
            self._ended |= unknown - self._ends.keys()
        return asked & self._ends.keys() - self._ended

    async def give_back(self) -> None:
        """Let the lease end now; what it named is then cleared up after like a dead node's.

        Raises:
            EngineUnavailable: It ends by itself.
        """
        await self._link.command("ZADD", self._places.leases, "XX", 0, self.lease, key=self._places.leases)

    async def forget(self, leases: Iterable[str]) -> None:
        """Strike ended leases off; whatever they left has been cleared up.

        Raises:
            EngineUnavailable: They stay listed as ended.
        """
        await self._link.command("ZREM", self._places.leases, *leases, key=self._places.leases)

    async def _beat(self, *, is_new: bool) -> frozenset[str] | None:
        """Renew or take the lease; answers the ended ones to clear up after, None where it is lost."""
        asked_at = self._clock.monotonic()
        keys = [self._places.leases, self._places.sweeper]
        args: list[Argument] = [self.lease, round(LEASE_S * 1000), int(is_new), round(_CLAIM_S * 1000)]
        held, living, ended = await self._link.run(_LEASE_BEAT, keys, args)
        if not held:
            return None
        self._learn(living, asked_at)
        return frozenset(lease.decode() for lease in ended)

    def _learn(self, living: list[Any], asked_at: float) -> None:
        """Replace what is known; counted from before the question, so that nobody is thought to live longer than he does."""
        pairs = zip(living[::2], living[1::2], strict=True)
        self._ends = {lease.decode(): asked_at + int(left_ms) / 1000 for lease, left_ms in pairs}
