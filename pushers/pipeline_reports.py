"""The duty of telling other processes, through the store, how the pipeline of this one is."""

from collections.abc import Callable
from typing import Final

from broker.pipeline_reports import PipelineReport, PipelineReports
from pushers.duties import Duty

__all__ = ["pipeline_reports"]

_INTERVAL_S: Final = 5.0


def pipeline_reports(tell: Callable[[], PipelineReport], reports: PipelineReports) -> Duty:
    """Make the duty; `tell` makes a report of the moment."""

    async def work() -> float:
        await reports.report(tell())
        return _INTERVAL_S

    return Duty("pipeline report", work)
