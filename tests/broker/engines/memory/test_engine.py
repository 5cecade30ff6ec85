"""The memory engine as a whole."""

from broker.engines.engine import Engine
from broker.engines.memory.engine import MemoryEngine
from broker.limits import Rate
from broker.model import ClientInfo, Position, Publication, PublishOptions
from config.clock import ManualClock

KEPT = PublishOptions(history_size=3, history_ttl_s=10.0)


async def test_closing_forgets_everything_and_may_come_twice_or_before_the_start():
    clock = ManualClock()
    engine: Engine = MemoryEngine(clock)
    await engine.close()
    await engine.start()
    now = clock.now().timestamp()
    first = (await engine.pubsub.publish("news", Publication(b"1"), KEPT)).position
    await engine.presence.add("news", ClientInfo("ann", "c1"))
    await engine.users.connected("ann", "c1")
    await engine.limits.acquire("k", Rate(1.0, 1))
    await engine.revocation.revoke_token("t", until=now + 10)
    await engine.close()
    await engine.close()
    assert await engine.presence.members("news") == {}
    assert await engine.users.online(frozenset({"ann"})) == frozenset()
    assert await engine.limits.acquire("k", Rate(1.0, 1)) == 0.0
    assert not engine.revocation.is_revoked(user="ann", token_id="t", issued_at=now)
    top = (await engine.history.read("news", since=None, limit=-1)).top
    assert top == Position(0, top.epoch)
    assert top.epoch != first.epoch


async def test_two_engines_share_nothing():
    one, other = MemoryEngine(ManualClock()), MemoryEngine(ManualClock())
    await one.pubsub.publish("news", Publication(b"1"), KEPT)
    assert (await other.history.read("news", since=None, limit=-1)).top.offset == 0
