"""Acknowledgements as spans of the notification's own trace, whichever way they come."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from broker.confirmations import Mark
from broker.errors import StoreUnavailable
from broker.traces import NotificationTrace, Traces
from config.clock import Clock
from config.tracing import Attribute, Tracing, current, follow

__all__ = ["AckSpans"]

_NOTHING: Final[Mapping[str, Attribute]] = {}
# After so many spans other work gets its turn: 3 ms. A whole inbox is a thousand.
_SLICE: Final = 64


class AckSpans:
    """Writes spans of acks that have been stored; none for notifications whose requests are not traced.

    The store says what a mark acknowledged, and only then are the traces read: what acknowledges nothing reads nothing more.
    """

    def __init__(self, traces: Traces, tracing: Tracing, clock: Clock) -> None:
        self._traces, self._tracing, self._clock = traces, tracing, clock

    def now(self) -> datetime:
        """Tell the moment at which an ack begins."""
        return self._clock.now()

    async def write(
        self, ids: Sequence[str], mark: Mark, began_at: datetime, attributes: Mapping[str, Attribute] = _NOTHING
    ) -> None:
        """Write one for each of what a mark acknowledged, from `began_at` until now, linked to the span that asked for it."""
        if not ids:
            return
        ended_at = self._clock.now()
        try:
            found = await self._traces.of(ids)
        except StoreUnavailable:
            return  # the ack is stored: it must not fail for want of a span
        for number, one in enumerate(found, 1):
            self._write(one, {**attributes, "heliograph.mark": mark.value}, began_at, ended_at)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def _write(self, one: NotificationTrace, told: Mapping[str, Attribute], began_at: datetime, ended_at: datetime) -> None:
        asking = current()
        origin = follow(one.trace, since=one.created_at, now=began_at)
        self._tracing.begin(
            "ack",
            parent=origin.parent,
            links=(*origin.links, asking.traceparent) if asking is not None else origin.links,
            attributes={**told, "heliograph.notification": one.notification_id},
            began_at=began_at,
        ).end(ended_at)
