from pathlib import Path

from broker.audit import Act, AuditFilter, Decision
from broker.store.store import open_store
from config.clock import ManualClock
from pushers.audit_retention import audit_retention


async def test_what_is_old_goes_and_the_next_round_is_in_an_hour(store_file: Path) -> None:
    clock = ManualClock()
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    for number in range(3):
        store.audit.record(Act("channel.publish", f"channel:{number}", decision=Decision.DENIED))
        await store.audit.settle()
        clock.move(60)
    (duty,) = audit_retention(store.audit, clock, retention_s=90)
    assert await duty.work() == 3600
    found, _ = await store.audit.search(AuditFilter(), limit=9)
    assert [sealed.record.act.action for sealed in found] == ["audit.swept", "channel.publish"]
    assert (await store.audit.verify()).is_whole
    await store.close()


def test_for_ever_needs_no_duty() -> None:
    assert audit_retention(None, ManualClock(), retention_s=0) == []  # type: ignore[arg-type]  (it is not asked)
