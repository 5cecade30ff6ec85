from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import given, settings

from broker.audit import Act, AuditRecord, Decision
from broker.audit_queue import AuditQueue
from broker.caller import Actor, ActorKind, Caller

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def denial(number: int = 0, *, correlation_id: str = "", at: datetime = NOW) -> AuditRecord:
    act = Act("channel.subscribe", f"channel:{number}", "ann", Decision.DENIED, "default")
    return AuditRecord(at, act, Caller(Actor(ActorKind.USER), "192.0.2.7", "websocket", correlation_id))


def add(queue: AuditQueue, record: AuditRecord) -> bool:
    return queue.add(record.act, record.caller, lambda: record)


def counts(records: Sequence[AuditRecord]) -> dict[str, int]:
    return {record.act.resource: record.act.details.get("count", 1) for record in records if record.act.resource}


def dropped(records: Sequence[AuditRecord]) -> int:
    return sum(sum(record.act.details["dropped"].values()) for record in records if not record.act.resource)


def test_a_repeat_raises_the_count_of_the_first() -> None:
    queue = AuditQueue(10)
    for second in range(3):
        add(queue, denial(correlation_id=f"c{second}", at=NOW + timedelta(seconds=second)))
    (record,) = queue.take(10, NOW).records
    assert record.act.details == {"count": 3}
    assert (record.at, record.caller.correlation_id) == (NOW, "c0")
    assert queue.is_empty


def test_what_finds_no_room_is_counted_and_told() -> None:
    queue = AuditQueue(2, node="n1")
    assert [add(queue, denial(number)) for number in range(5)] == [True, True, False, False, False]
    assert add(queue, denial(1))  # what waits already has its room
    assert queue.dropped == 3
    first, second, gap = queue.take(10, NOW + timedelta(seconds=9)).records
    assert counts([first, second]) == {"channel:0": 1, "channel:1": 2}
    assert gap.act == Act("audit.gap", decision=Decision.NOTED, details={"dropped": {"denied": 3}, "since": NOW.isoformat()})
    assert (gap.node, gap.caller.actor.kind) == ("n1", ActorKind.SYSTEM)
    assert queue.is_empty


def test_what_could_not_be_written_comes_again_before_the_rest() -> None:
    queue = AuditQueue(3)
    for number in (0, 0, 1, 2, 3):
        add(queue, denial(number))
    taken = queue.take(2, NOW)
    add(queue, denial(0))
    add(queue, denial(4))
    queue.give_back(taken)
    again = queue.take(10, NOW).records
    assert [record.act.resource for record in again[:3]] == ["channel:0", "channel:1", "channel:2"]
    assert counts(again[:3]) == {"channel:0": 3, "channel:1": 1, "channel:2": 1}
    assert again[3].act.details["dropped"] == {"denied": 2}  # 3 at first, 4 for want of room


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 6), st.just("take"), st.just("fail")), max_size=60),
    st.integers(1, 4),
)
def test_nothing_is_ever_lost_without_being_counted(steps: list[object], size: int) -> None:
    queue, asked, written, told = AuditQueue(size), 0, 0, 0
    for step in [*steps, "take", "take", "take", "take"]:
        if isinstance(step, int):
            add(queue, denial(step))
            asked += 1
        else:
            taken = queue.take(2, NOW)
            if step == "fail":
                queue.give_back(taken)
                continue
            written += sum(counts(taken.records).values())
            told += dropped(taken.records)
    assert len(queue) <= size
    while not queue.is_empty:
        taken = queue.take(2, NOW)
        written += sum(counts(taken.records).values())
        told += dropped(taken.records)
    assert written + told == asked
    assert told == queue.dropped
