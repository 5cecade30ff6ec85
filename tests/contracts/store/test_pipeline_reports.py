"""What pipelines say of themselves, on every database."""

from typing import Any

import msgspec

from broker.pipeline_reports import CarrierReport, PipelineReport
from broker.store.store import Store
from config.clock import ManualClock


def report_of(worker: str, clock: ManualClock, name: str = "pusher") -> PipelineReport:
    carrier = CarrierReport("apns:kiosk", "open", 3, 7, 40, rate_per_s=12.5, is_paused=True, complaint="403", rate_share=0.5)
    deliveries, concerns, certificates = {"accepted": 30, "retry": 10}, ["smtp refuses us"], {"apns": 4711.5}
    return PipelineReport(worker, name, clock.now(), deliveries, [carrier], concerns, certificates)


async def test_the_newest_word_of_each_process_is_told(store: Store, clock: ManualClock) -> None:
    reports = store.pipeline_reports
    first, second = report_of("w-2", clock, "b"), report_of("w-1", clock, "b")
    third = report_of("w-9", clock, "a")
    for one in (first, second, third):
        await reports.report(one)
    assert await reports.present() == [third, second, first]
    newer = msgspec.structs.replace(second, deliveries={"accepted": 31})
    await reports.report(newer)
    await reports.withdraw("w-2")
    await reports.withdraw("nobody")
    assert await reports.present() == [third, newer]


async def test_a_process_that_died_is_forgotten(store: Store, clock: ManualClock, open_another: Any) -> None:
    await store.pipeline_reports.report(report_of("dead", clock))
    clock.move(29)
    another = await open_another()
    assert [one.worker for one in await another.pipeline_reports.present()] == ["dead"]
    clock.move(2)
    assert await another.pipeline_reports.present() == []
    await another.pipeline_reports.report(report_of("alive", clock))
    assert [one.worker for one in await store.pipeline_reports.present()] == ["alive"]
