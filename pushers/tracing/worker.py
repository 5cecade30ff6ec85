"""Deliveries as spans, with the provider's call below each."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from broker.ledger import SendDone, Step
from broker.notification import Device, Notification, Outcome
from config.tracing import Kind, Span, active, below, current
from pushers.gate import Gate, Permit
from pushers.outcome import Accepted, SendOutcome
from pushers.provider import Provider
from pushers.tracing.steps import StepSpans
from pushers.worker import Worker

__all__ = ["TracedProvider", "TracedWorker"]

_FAILED = frozenset({Outcome.REFUSED, Outcome.GAVE_UP, Outcome.UNKNOWN, Outcome.UNREGISTERED, Outcome.RETRY, Outcome.PAUSED})


class TracedProvider:
    """Implements `pushers.provider.Provider`: a call within a delivery that is traced is a span of its own."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        return self._provider.name

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        span = below("provider call", Kind.CLIENT, {"heliograph.provider": self.name})
        if span is None:
            return await self._provider.send(notification, device, now=now)
        try:
            with active(span):
                outcome = await self._provider.send(notification, device, now=now)
        except BaseException as exc:
            span.fail(type(exc).__name__)
            raise
        else:
            if not isinstance(outcome, Accepted):
                span.fail(type(outcome).__name__)
            return outcome
        finally:
            span.end()

    async def close(self) -> None:
        await self._provider.close()


class TracedWorker(Worker):
    """A worker with a span around each attempt whose notification is traced."""

    def __init__(self, spans: StepSpans, provider: Provider, gate: Gate, **parts: Any) -> None:
        super().__init__(TracedProvider(provider), gate, **parts)
        self._spans, self._carrier, self._breaker = spans, provider.name, gate

    async def _deliver(self, step: Step, permit: Permit) -> None:
        span = self._spans.begin("delivery", step, self._attributes(step))
        if span is None:
            await super()._deliver(step, permit)
            return
        try:
            with active(span):
                await super()._deliver(step, permit)
        except BaseException as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()

    def _record(self, done: SendDone, now: datetime, took_s: float | None = None) -> None:
        if (span := current()) is not None:
            _tell(span, done, lambda: self._breaker.state.value)
        super()._record(done, now, took_s)

    def _attributes(self, step: Step) -> dict[str, str | int | float | bool]:
        assert step.device is not None
        return {
            "heliograph.provider": self._carrier,
            "heliograph.route": str(step.device.provider.route),
            "heliograph.breaker": self._breaker.state.value,
        }


def _tell(span: Span, done: SendDone, breaker: Callable[[], str]) -> None:
    outcome = done.entry.outcome if done.entry is not None else None
    span.note({"heliograph.outcome": outcome.value if outcome else "put_off", "heliograph.breaker_after": breaker()})
    if outcome in _FAILED:
        span.fail(outcome.value)
    if done.retry_at is not None:
        span.note({"heliograph.retry_at": done.retry_at.isoformat(timespec="milliseconds")})
