from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from broker.audit import Act, Decision
from broker.store.store import open_store
from config.audit_settings import AuditSettings
from config.clock import ManualClock
from gateway.audit_metrics import AuditCollector


async def test_what_was_recorded_dropped_and_looked_over_is_told(store_file: Path) -> None:
    audit = AuditSettings(queue_size=10)
    store = await open_store(f"sqlite:///{store_file}", clock=ManualClock(), audit=audit)
    registry = CollectorRegistry()
    registry.register(AuditCollector(store.audit))
    for number in range(12):
        store.audit.record(Act("channel.publish", f"channel:{number}", decision=Decision.DENIED))
    assert "heliograph_audit_queued 10.0" in told(registry)
    assert not any(line.startswith("heliograph_audit_whole") for line in told(registry))
    await store.audit.settle()
    await store.audit.verify()
    for line in (
        'heliograph_audit_records_total{decision="denied"} 10.0',
        'heliograph_audit_records_total{decision="noted"} 1.0',
        "heliograph_audit_queued 0.0",
        "heliograph_audit_dropped_total 2.0",
        "heliograph_audit_failing 0.0",
        "heliograph_audit_whole 1.0",
        "heliograph_audit_verified_timestamp_seconds 1.7672256e+09",
    ):
        assert line in told(registry)
    await store.close()


def told(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()
