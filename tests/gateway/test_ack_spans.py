"""Acks as spans: below the request or linked to it, and never in the way of the ack."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.confirmations import Mark
from broker.errors import StoreUnavailable
from broker.traces import NotificationTrace
from config.clock import ManualClock
from config.tracing import Attribute, Kind, linked
from gateway.tracing.acks import AckSpans

TRACE = f"00-{'a' * 32}-{'1' * 16}-01"


class Kept:
    """Plays `broker.traces.Traces`."""

    def __init__(self, *traces: NotificationTrace) -> None:
        self.traces, self.asked, self.is_away = traces, 0, False

    async def of(self, ids: Sequence[str]) -> Sequence[NotificationTrace]:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return [one for one in self.traces if one.notification_id in ids]


class Written:
    """Plays `config.tracing.Tracing` and its spans, as far as acks use them."""

    is_on = True

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str = "",
        tracestate: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
        began_at: datetime | None = None,
    ) -> Any:
        told = {"name": name, "parent": parent, "links": tuple(links), "began_at": began_at, **(attributes or {})}
        self.spans.append(told)
        return self

    def end(self, at: datetime | None = None) -> None:
        self.spans[-1]["ended_at"] = at

    async def close(self) -> None:
        """Nothing waits."""


@pytest.mark.parametrize(
    ("trace", "age_s", "parent", "links"),
    [(TRACE, 60, TRACE, ()), (TRACE, 7200, "", (TRACE,)), (linked(TRACE), 60, "", (TRACE,))],
)
async def test_an_ack_is_a_span_of_its_request(trace: str, age_s: float, parent: str, links: tuple[str, ...]) -> None:
    clock, written = ManualClock(), Written()
    spans = AckSpans(Kept(NotificationTrace("n1", trace, clock.now() - timedelta(seconds=age_s))), written, clock)
    began_at = spans.now()
    clock.move(2)
    await spans.write(["n1", "untraced"], Mark.READ, began_at)
    (span,) = written.spans
    assert (span["name"], span["parent"], span["links"]) == ("ack", parent, links)
    assert (span["began_at"], span["ended_at"]) == (began_at, clock.now())
    assert (span["heliograph.notification"], span["heliograph.mark"]) == ("n1", "read")


async def test_a_whole_inbox_leaves_others_their_turns() -> None:
    clock, written = ManualClock(), Written()
    traces = [NotificationTrace(f"n{number}", TRACE, clock.now()) for number in range(1000)]
    writing = asyncio.create_task(
        AckSpans(Kept(*traces), written, clock).write([one.notification_id for one in traces], Mark.READ, clock.now())
    )
    at_once, before = 0, 0
    while not writing.done():
        await asyncio.sleep(0)
        at_once, before = max(at_once, len(written.spans) - before), len(written.spans)
    assert (len(written.spans), at_once <= 100) == (1000, True)


async def test_what_acknowledges_nothing_reads_nothing() -> None:
    clock, written, kept = ManualClock(), Written(), Kept()
    await AckSpans(kept, written, clock).write((), Mark.SEEN, clock.now())
    assert (kept.asked, written.spans) == (0, [])


async def test_an_ack_that_is_stored_does_not_fail_for_want_of_a_span() -> None:
    clock, written, kept = ManualClock(), Written(), Kept()
    kept.is_away = True
    await AckSpans(kept, written, clock).write(["n1"], Mark.SEEN, clock.now())
    assert (kept.asked, written.spans) == (1, [])
