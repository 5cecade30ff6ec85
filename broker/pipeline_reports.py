"""Port: how the pipelines of all processes are, for whoever looks from another one.

A pipeline may run in a process without clients, which no operator's page can ask; so each one says now and then how it is.
What is said is a picture of a moment, and nothing is decided by it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.last_look import NO_LOOK, LastLook

__all__ = ["CarrierReport", "PipelineReport", "PipelineReports"]


class CarrierReport(msgspec.Struct, frozen=True):
    """How a carrier is in one process.

    Attributes:
        breaker: `closed`, `half_open` or `open`.
        under_way: Calls that were begun and have no answer yet.
        queued: Deliveries that were claimed and wait for a place.
        ended: Attempts that ended since the start of the process, whatever came of them.
        rate_per_s: What all processes together may call at most; 0 for no limit.
        is_paused: An operator has it left alone.
        complaint: What it said against the settings.
        last: What came of the last call.
        rate_share: At which share of its rate this process calls it, below 1 since it said that a quota is exceeded; in
            `rate_per_s` already.
    """

    name: str
    breaker: str
    under_way: int
    queued: int
    ended: int
    rate_per_s: float = 0.0
    is_paused: bool = False
    complaint: str = ""
    last: LastLook = NO_LOOK
    rate_share: float = 1.0


class PipelineReport(msgspec.Struct, frozen=True):
    """How the pipeline of a process was at a moment.

    Attributes:
        worker: The process, by the id that it has in leases.
        name: What operators call it; several may have the same.
        deliveries: Attempts that ended since its start, by outcome.
        concerns: What an operator should know of, though the process works; one sentence each.
        certificates: When those that providers are shown end, by carrier, in Unix seconds.
    """

    worker: str
    name: str
    at: datetime
    deliveries: Mapping[str, int]
    carriers: Sequence[CarrierReport]
    concerns: Sequence[str] = ()
    certificates: Mapping[str, float] = {}


class PipelineReports(Protocol):
    """What the pipelines of all processes say of themselves. All raise `StoreUnavailable`."""

    async def report(self, report: PipelineReport) -> None:
        """Say how a pipeline is; replaces what its process said before."""

    async def present(self) -> Sequence[PipelineReport]:
        """List them by name and process, leaving out what was not repeated for half a minute."""

    async def withdraw(self, worker: str) -> None:
        """Say that a process ends; one that has said nothing is no error."""
