"""Each try of an item is a span, below whoever wrote the item."""

import asyncio
from contextlib import suppress

import msgspec

from broker.errors import EngineUnavailable
from config.clock import settle
from gateway.consumers.metrics import Metrics
from gateway.tracing.consumer import TracedConsumer

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_each_try_is_a_span_of_the_writer_s_trace(source, api, clock, registry, write_traces):
    tracing, exporter = write_traces(0.0)
    api.fail("news", EngineUnavailable("away"))
    source.add("news")
    item, at = source.items[0]
    source.items[0] = (msgspec.structs.replace(item, trace=f"00-{TRACE}-b7ad6b7169203331-01"), at)
    source.add("untraced")
    consumer = TracedConsumer(tracing, "log", source, api.calls, Metrics(registry, clock), clock)
    running = asyncio.create_task(consumer.run())
    await settle(50)
    await clock.advance(5)
    await settle(50)
    consumer.stop()
    await clock.advance(1)
    with suppress(asyncio.CancelledError):
        await running
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["consume publish"] * len(spans)
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    assert [span.attributes.get("error.type") for span in spans] == ["again", None]
    assert sorted(api.published) == ["news", "untraced"]
