"""Which classes a pipeline is made of: those that are traced where tracing is on, and the plain ones else."""

from collections.abc import Callable
from functools import partial

import msgspec

from config.clock import Clock
from config.tracing import Tracing
from pushers.live import LiveRoute
from pushers.planner import Planner
from pushers.tracing.planner import OpenPlans, TracedLiveRoute, TracedPlanner
from pushers.tracing.steps import StepSpans
from pushers.tracing.worker import TracedWorker
from pushers.worker import Worker

__all__ = ["Parts", "parts_of"]


class Parts(msgspec.Struct, frozen=True):
    """What makes a pipeline's parts, each with the arguments of the plain class."""

    live: Callable[..., LiveRoute] = LiveRoute
    planner: Callable[..., Planner] = Planner
    worker: Callable[..., Worker] = Worker


def parts_of(tracing: Tracing, clock: Clock) -> Parts:
    """Choose them."""
    if not tracing.is_on:
        return Parts()
    spans = StepSpans(tracing, clock)
    open_plans: OpenPlans = {}
    return Parts(partial(TracedLiveRoute, open_plans), partial(TracedPlanner, spans, open_plans), partial(TracedWorker, spans))
