"""Traces by OpenTelemetry's SDK, sent as OTLP over HTTP from a thread of the SDK's own.

Ended spans wait in a bounded queue; when it is full the oldest go. So a collector that is away or slow takes spans from us and
nothing else. Our own sampler stands at the root: what is linked to something that is written is written itself.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace import Span as WrittenSpan
from opentelemetry.trace.span import TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from config.logs import get_logger
from config.tracing import Attribute, Kind, Span, checked
from config.tracing_settings import TracingSettings

__all__ = ["SdkTracing", "sending_processor"]

_log = get_logger()

_KINDS: Final = {kind: SpanKind[kind.name] for kind in Kind}
_SCOPE: Final = "heliograph"
_BATCH: Final = 512
_DELAY_MS: Final = 1000
_NOTHING: Final = Context()
# An empty context, or one that holds only what was handed over: the SDK's own idea of a current span is never asked.


class SdkTracing:
    """Implements `config.tracing.Tracing`.

    Args:
        processor: What becomes of spans that have ended.
        instance: Names this process among those of the service.
    """

    is_on: Final = True

    def __init__(self, settings: TracingSettings, processor: SpanProcessor, *, instance: str, version: str) -> None:
        resource = Resource(
            {"service.name": settings.service_name, "service.instance.id": instance, "service.version": version}
        )
        self._timeout_s = settings.timeout
        sampler = ParentBased(_Root(settings.sample_ratio))
        self._provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(_SCOPE, version)

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
    ) -> Span:
        context = _context_of(parent, tracestate)
        known = [one for link in links if (one := _context_of(link)) is not None]
        above = _NOTHING if context is None else set_span_in_context(NonRecordingSpan(context), _NOTHING)
        return _Begun(
            self._tracer,
            self._tracer.start_span(
                name,
                above,
                _KINDS[kind],
                attributes,
                [Link(one) for one in known],
                start_time=_nanoseconds(began_at),
                record_exception=False,
            ),
        )

    async def close(self) -> None:
        """Send what waits, for at most the time of a request: the thread that does so is not waited for any longer."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(ended.set)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        threading.Thread(target=shut_down, name="tracing:close", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout_s):
                await ended.wait()
        except TimeoutError:
            _log.warning("tracing.cut_off", after_s=self._timeout_s)


def sending_processor(settings: TracingSettings) -> SpanProcessor:
    """Make what sends spans to the collector of the settings."""
    exporter = OTLPSpanExporter(
        settings.endpoint,
        headers=dict(settings.header_map),
        timeout=settings.timeout,
        compression=Compression.Gzip,
    )
    # The library complains of every batch; one word about each outage is ours to say.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return BatchSpanProcessor(
        _Telling(exporter),
        max_queue_size=settings.queue_size,
        schedule_delay_millis=_DELAY_MS,
        max_export_batch_size=min(_BATCH, settings.queue_size),
    )


class _Begun:
    """Implements `config.tracing.Span`."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: Tracer, span: WrittenSpan) -> None:
        self._tracer, self._span = tracer, span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"

    @property
    def tracestate(self) -> str:
        return self._span.get_span_context().trace_state.to_header()

    @property
    def is_sampled(self) -> bool:
        return self._span.get_span_context().trace_flags.sampled

    @property
    def ids(self) -> tuple[str, str]:
        context = self._span.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def begin(self, name: str, kind: Kind = Kind.INTERNAL, attributes: Mapping[str, Attribute] | None = None) -> Span:
        above = set_span_in_context(self._span, _NOTHING)
        return _Begun(self._tracer, self._tracer.start_span(name, above, _KINDS[kind], attributes))

    def note(self, attributes: Mapping[str, Attribute]) -> None:
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, at: datetime | None = None) -> None:
        self._span.end(_nanoseconds(at))


class _Root(Sampler):
    """Decides about traces that begin here: by ratio, but for those with a link to something that is written."""

    def __init__(self, ratio: float) -> None:
        self._by_ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._by_ratio.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return f"linked or {self._by_ratio.get_description()}"


class _Telling(SpanExporter):
    """An exporter that logs when the collector goes away and when it is back. Called by the one thread that sends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                _log.warning("tracing.unsent", spans=len(spans))
            self._lost += len(spans)
        elif self._lost:
            _log.info("tracing.sent_again", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000) * 1000


def _context_of(traceparent: str, tracestate: str = "") -> SpanContext | None:
    """Read a text that came from elsewhere; None where it says nothing."""
    if not traceparent or not (known := checked(traceparent)):
        return None
    _, trace_id, span_id, flags = known.split("-")
    state = TraceState.from_header([tracestate]) if tracestate else TraceState()
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)), trace_state=state
    )
