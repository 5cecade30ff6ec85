"""What metrics tell of the queue."""

from datetime import timedelta

from prometheus_client import CollectorRegistry

from broker.backlog import LaneBacklog
from broker.notification import Lane
from config.clock import ManualClock
from pushers.backlog_watch import backlog_watch
from pushers.metrics import Metrics


async def test_depth_and_age_follow_the_store():
    clock, registry = ManualClock(), CollectorRegistry()
    found = [LaneBacklog(Lane.BULK, 7, clock.now() - timedelta(seconds=12)), LaneBacklog(Lane.CRITICAL, 0, None)]

    class Queue:
        async def lanes(self, *, limit):
            return found

    duty = backlog_watch(Queue(), Metrics(registry), clock)
    assert await duty.work() > 0
    assert registry.get_sample_value("heliograph_lane_waiting", {"lane": "bulk"}) == 7
    assert registry.get_sample_value("heliograph_lane_age_seconds", {"lane": "bulk"}) == 12
    assert registry.get_sample_value("heliograph_lane_age_seconds", {"lane": "critical"}) == 0
    found[0] = LaneBacklog(Lane.BULK, 0, None)
    await duty.work()
    assert registry.get_sample_value("heliograph_lane_age_seconds", {"lane": "bulk"}) == 0
