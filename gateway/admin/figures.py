"""The figures of the page: what this node counts, who else is in the fleet, what waits in the lanes, how pipelines are.

Counters are told as they stand, and the page makes rates of them: so a look that was missed costs nothing. They are gathered
when somebody looks and at no other time, and looks within a moment share one gathering.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.backlog import Backlog
from broker.control import Control, NodeInfo
from broker.errors import Unavailable
from broker.pipeline_reports import CarrierReport, PipelineReport, PipelineReports
from config.clock import Clock
from gateway.health_detail import HealthDetail
from gateway.node import Node
from gateway.tallies import CallTally

__all__ = ["FigureDesk", "Figures", "LaneFigures", "NodeFigures", "PipelineFigures"]

_FRESH_S: Final = 1.0
_COUNTED: Final = 100_000
_PATIENCE_S: Final = 2.0


class NodeFigures(msgspec.Struct, frozen=True):
    """What the node that answers holds now, and has counted since it started (`messages`, `frames`, `commands`, …)."""

    uid: str
    name: str
    clients: int
    users: int
    channels: int
    subscriptions: int
    transports: int
    messages: int
    frames: int
    commands: int
    command_errors: int
    calls: int
    call_errors: int
    disconnects: Mapping[int, int]
    lag_ms: float


class LaneFigures(msgspec.Struct, frozen=True):
    """Steps that are due and that nobody works on; a count of 100,000 is a least."""

    lane: str
    waiting: int
    age_s: float


class PipelineFigures(msgspec.Struct, frozen=True):
    """How a pipeline was at a moment, in Unix seconds (see `broker.pipeline_reports`); `here` where it is that of the node."""

    worker: str
    name: str
    here: bool
    at: float
    deliveries: Mapping[str, int]
    carriers: Sequence[CarrierReport]
    concerns: Sequence[str]
    certificates: Mapping[str, float]


class Figures(msgspec.Struct, frozen=True):
    """Everything at one moment, in Unix seconds; `missing` names what could not be asked.

    Attributes:
        certificates: When those that the ports of this process show end, by setting, in Unix seconds.
    """

    at: float
    node: NodeFigures
    nodes: Sequence[NodeInfo]
    lanes: Sequence[LaneFigures]
    pipelines: Sequence[PipelineFigures]
    certificates: Mapping[str, float]
    health: Any
    missing: list[str]


class FigureDesk:
    """Gathers figures.

    Attributes:
        own_pipeline: Tells of the pipeline of this process, where there is one.
        certificates: Tells when those that our ports show end.
    """

    def __init__(
        self,
        node: Node,
        control: Control,
        backlog: Backlog,
        reports: PipelineReports,
        calls: CallTally,
        detail: HealthDetail,
        clock: Clock,
    ) -> None:
        self._node, self._control, self._backlog, self._reports = node, control, backlog, reports
        self._calls, self._detail, self._clock = calls, detail, clock
        self.own_pipeline: Callable[[], PipelineReport] | None = None
        self.certificates: Callable[[], Mapping[str, float]] = dict
        self._last: Figures | None = None
        self._looked_at = -_FRESH_S
        self._looking = asyncio.Lock()

    async def look(self) -> Figures:
        """Tell the figures, at most a second old."""
        async with self._looking:
            if self._last is None or self._clock.monotonic() - self._looked_at >= _FRESH_S:
                self._last = await self._gather()
                self._looked_at = self._clock.monotonic()
            return self._last

    async def _gather(self) -> Figures:
        missing: list[str] = []
        nodes, lanes, reports = await asyncio.gather(
            _or_nothing("nodes", self._control.nodes(), missing),
            _or_nothing("lanes", self._lanes(), missing),
            _or_nothing("pipelines", self._reports.present(), missing),
        )
        return Figures(
            at=_seconds(self._clock.now()),
            node=self._count(),
            nodes=sorted(nodes, key=lambda node: (node.name, node.uid)),
            lanes=lanes,
            pipelines=self._pipelines(reports),
            certificates=self.certificates(),
            health=await self._detail.tell(),
            missing=missing,
        )

    def _count(self) -> NodeFigures:
        node, statistics = self._node, self._node.statistics()
        ended = [(code, count) for tally in self._calls.methods.values() for code, count in tally.by_code.items()]
        return NodeFigures(
            uid=node.uid,
            name=node.name,
            clients=statistics.clients,
            users=statistics.users,
            channels=statistics.rooms,
            subscriptions=statistics.subscriptions,
            transports=statistics.transports,
            messages=statistics.messages_written,
            frames=statistics.frames_written,
            commands=sum(node.commands.commands.values()),
            command_errors=sum(node.commands.errors.values()),
            calls=sum(count for _, count in ended),
            call_errors=sum(count for code, count in ended if code),
            disconnects=dict(sorted(node.disconnects_by_code.items())),
            lag_ms=round(node.lag.average_s * 1000, 2),
        )

    def _pipelines(self, reports: Sequence[PipelineReport]) -> list[PipelineFigures]:
        """Put our own first, as it is now and not as it said last."""
        own = [] if self.own_pipeline is None else [self.own_pipeline()]
        ours = {one.worker for one in own}
        told = [*own, *(one for one in reports if one.worker not in ours)]
        return [
            PipelineFigures(
                one.worker,
                one.name,
                one.worker in ours,
                _seconds(one.at),
                one.deliveries,
                one.carriers,
                one.concerns,
                one.certificates,
            )
            for one in told
        ]

    async def _lanes(self) -> list[LaneFigures]:
        now = self._clock.now()
        return [
            LaneFigures(
                one.lane.name.lower(),
                one.waiting,
                0.0 if one.oldest_due_at is None else max(0.0, round((now - one.oldest_due_at).total_seconds(), 3)),
            )
            for one in await self._backlog.lanes(limit=_COUNTED)
        ]


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 3)


async def _or_nothing(name: str, asked: Any, missing: list[str]) -> Sequence[Any]:
    """Wait for an answer, not for long; nothing where there is none, and its name among what is missing."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer: Sequence[Any] = await asked
            return answer
    except (Unavailable, TimeoutError):
        missing.append(name)
        return []
