"""How a step of a notification begins a span: in the trace of the request that it came from, or with a link to it."""

from broker.ledger import Step
from config.clock import Clock
from config.tracing import Attribute, Span, Tracing, follow

__all__ = ["StepSpans"]


class StepSpans:
    """Begins spans of steps; none for notifications whose requests are not traced."""

    def __init__(self, tracing: Tracing, clock: Clock) -> None:
        self._tracing, self._clock = tracing, clock

    def begin(self, name: str, step: Step, attributes: dict[str, Attribute]) -> Span | None:
        """Begin a span of a step; None where the notification is not traced."""
        notification = step.notification
        if not notification.trace:
            return None
        origin = follow(notification.trace, since=notification.created_at, now=self._clock.now())
        told: dict[str, Attribute] = {
            "heliograph.notification": notification.id,
            "heliograph.lane": notification.lane.name.lower(),
            "heliograph.attempt": step.attempt,
            **attributes,
        }
        return self._tracing.begin(name, parent=origin.parent, links=origin.links, attributes=told)
