"""Calls that come from logs as spans, below whoever wrote them there."""

from typing import Any

from broker.event_source import Again, Dead, Done, Item
from config.tracing import Kind, Tracing, active
from gateway.api.call import Calls
from gateway.consumers.consumer import Consumer

__all__ = ["TracedConsumer"]


class TracedConsumer(Consumer):
    """A consumer with a span around each try of an item."""

    def __init__(self, tracing: Tracing, name: str, source: Any, calls: Calls, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, source, calls, *args, **kwargs)
        self._tracing, self._known = tracing, calls

    async def _carry_out(self, item: Item) -> Done | Dead | Again:
        method = item.method if item.method in self._known else "{method}"
        span = self._tracing.begin(
            f"consume {method}",
            Kind.CONSUMER,
            parent=item.trace,
            attributes={"heliograph.consumer": self.name, "heliograph.attempt": item.attempt},
        )
        try:
            with active(span):
                end = await super()._carry_out(item)
        except BaseException as exc:
            span.fail(type(exc).__name__)
            raise
        else:
            if not isinstance(end, Done):
                span.fail("dead" if isinstance(end, Dead) else "again")
            return end
        finally:
            span.end()
