"""What a node says of its place in the fleet."""

import math

import pytest

from broker.engines.redis.fleet import FleetStatistics
from broker.errors import EngineUnavailable
from broker.model import ClientInfo


async def test_it_counts_nodes_entries_and_words(join, cut_off):
    one = await join()
    assert one.fleet.statistics() == FleetStatistics(nodes=1, entries=0, owed=0, words=0)
    two = await join()
    await one.fleet.presence.add("room", ClientInfo("ann", "c1"))
    await one.fleet.users.connected("ann", "c1")
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    with cut_off(one), pytest.raises(EngineUnavailable):
        await one.fleet.presence.remove("room", "c1")
    assert one.fleet.statistics() == FleetStatistics(nodes=1, entries=1, owed=1, words=1)
    await one.beat()
    assert one.fleet.statistics() == FleetStatistics(nodes=2, entries=1, owed=0, words=1)
    assert two.fleet.statistics().entries == 0
