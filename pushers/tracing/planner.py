"""Decisions as spans, and live publications below them."""

from collections.abc import Sequence
from typing import Any

from broker.ledger import PlanDone, Step
from broker.notification import Notification
from config.tracing import Kind, Span, active
from pushers.haste import Turn, one_turn
from pushers.live import LiveRoute
from pushers.planner import Planner
from pushers.tracing.steps import StepSpans

__all__ = ["OpenPlans", "TracedLiveRoute", "TracedPlanner"]

# The spans of decisions that are being made, by notification: one of each at a time.
OpenPlans = dict[str, Span]


class TracedPlanner(Planner):
    """A planner with a span around each decision whose notification is traced; those of a batch end together."""

    def __init__(self, spans: StepSpans, open_plans: OpenPlans, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spans, self._open = spans, open_plans

    async def decide(self, steps: Sequence[Step], turn: Turn = one_turn) -> Sequence[PlanDone]:
        spans = {step.notification.id: span for step in steps if (span := self._spans.begin("plan", step, {})) is not None}
        if not spans:
            return await super().decide(steps, turn)
        self._open.update(spans)
        try:
            decided = await super().decide(steps, turn)
            for done in decided:
                if (span := spans.get(done.step.notification.id)) is not None:
                    _tell(span, done)
            return decided
        except Exception as exc:
            for span in spans.values():
                span.fail(type(exc).__name__)
            raise
        finally:
            for notification_id, span in spans.items():
                del self._open[notification_id]
                span.end()


class TracedLiveRoute(LiveRoute):
    """The live route with its publications below the decisions that ask for them."""

    def __init__(self, open_plans: OpenPlans, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open = open_plans

    async def publish(self, notification: Notification) -> None:
        above = self._open.get(notification.id)
        if above is None:
            await super().publish(notification)
            return
        span = above.begin("live", Kind.INTERNAL, {"heliograph.notification": notification.id})
        try:
            with active(span):
                await super().publish(notification)
        except Exception as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()


def _tell(span: Span, done: PlanDone) -> None:
    span.note(
        {
            "heliograph.sends": len(done.sends),
            "heliograph.decision": done.finish.value if done.finish else "send" if done.sends else "wait",
        }
    )
    if outcomes := [f"{entry.route or '-'}:{entry.outcome}" for entry in done.entries]:
        span.note({"heliograph.outcomes": " ".join(outcomes)})
