"""A connection storm: many clients connect, authenticate and subscribe, so many at once or at a rate."""

import asyncio

import msgspec

from loadtest.environment import describe_environment
from loadtest.measure import make_latency, make_seconds, make_spread
from loadtest.messages import TICK_S, Finish, SubscriberPart
from loadtest.result import Figure, Latency, Result
from loadtest.session import Conditions, Session, busy_warnings, failures_of, share_out, show_ms
from loadtest.swarm import Crew

__all__ = ["ConnectPlan", "conduct_connect", "make_parts"]


class ConnectPlan(msgspec.Struct, frozen=True):
    """`at_once` clients on their way at a time; `rate_per_s` > 0 spaces their starts; then all stay for `hold_s`."""

    clients: int
    at_once: int = 200
    rate_per_s: float = 0.0
    hold_s: int = 2
    channel: str = "loadtest"
    source_addresses: int = 1
    timeout_s: float = 30.0


def make_parts(plan: ConnectPlan, conditions: Conditions) -> list[SubscriberPart]:
    """Divide the storm among processes."""
    storm = SubscriberPart(
        target=conditions.target,
        channel=plan.channel,
        first=0,
        count=plan.clients,
        secret=conditions.secret,
        users=plan.clients,
        at_once=plan.at_once,
        rate_per_s=plan.rate_per_s,
        sample_every=plan.clients,
        source_addresses=plan.source_addresses,
        timeout_s=plan.timeout_s,
        cpu=conditions.cpu,
    )
    return share_out(storm, conditions.processes)


async def conduct_connect(plan: ConnectPlan, session: Session) -> Result:
    """Run the whole scenario; a set `session.stop` ends it early, with what was measured so far.

    Raises:
        NothingMeasured: No client could subscribe.
        WorkerLost: A measuring process died.
    """
    run = _Run(plan, session)
    async with Crew(run.parts, session.collection.take) as crew:
        await session.prepare(crew, len(run.parts))
        session.figures = run.figures
        await run.storm(crew)
        await session.finish_clients(crew, run.swarm, Finish())
    return run.result()


class _Run:
    def __init__(self, plan: ConnectPlan, session: Session) -> None:
        self._plan = plan
        self._session = session
        self.parts = make_parts(plan, session.conditions)
        self.swarm = range(len(self.parts))
        self._rss_before = session.observer.rss_mib()
        self._rss_after = 0.0
        self._cpu_s = 0.0
        self._is_complete = False

    async def storm(self, crew: Crew) -> None:
        """Open all clients, hold them, and read the server's memory."""
        session = self._session
        cpu_before_s = session.observer.cpu_s()
        await session.open_clients(crew, self.swarm)
        self._cpu_s = session.observer.cpu_s() - cpu_before_s
        session.stage = "holding"
        try:
            async with asyncio.timeout(self._plan.hold_s):
                await session.stop.wait()
        except TimeoutError:
            self._is_complete = True
        self._rss_after = session.observer.rss_mib()

    def figures(self) -> dict[str, str]:
        """Figures of the last second."""
        collection = self._session.collection
        seconds = make_seconds(collection.of_phase("open"), measured=range(0))
        shown = {"connected": f"{sum(collection.connected.values()):,} / {self._plan.clients:,}"}
        if seconds:
            last = seconds[-2] if len(seconds) > 1 else seconds[-1]
            shown |= {
                "subscribed/s": f"{last.counts.get('subscribed', 0):,}",
                "p50": show_ms(last.p50_ms),
                "p99": show_ms(last.p99_ms),
            }
        return shown | {"errors": f"{collection.totals['open.failed'] + collection.totals['open.closed']:,}"}

    def result(self) -> Result:
        """Put the result together; the seconds that count are those in which clients were still connecting."""
        session = self._session
        ticks = session.collection.of_phase("open")
        busy = [int(tick.slot * TICK_S) for _, tick in ticks if tick.counts.get("subscribed")]
        last = max(busy, default=-1)
        measured = range(max(last, 1) if last >= 0 else 0)  # the last second is a part of one, unless it is the only one
        seconds = make_seconds(ticks, measured=measured)
        latencies = self._latencies()
        return Result(
            scenario="connect",
            title=f"Connection storm of {self._plan.clients:,} clients",
            started_at=session.started_at,
            is_complete=self._is_complete,
            settings=self._settings(),
            environment=describe_environment(session.server),
            figures=self._headlines(latencies[0]),
            failures=failures_of(
                [
                    ("clients that could not subscribe", [part.failures for part in session.collection.opened.values()]),
                    ("clients that were disconnected", [final.closings for final in session.collection.subscribers.values()]),
                ]
            ),
            warnings=[text for text in [session.observer.missing] if text]
            + busy_warnings(session.collection, "open", measured),
            latencies=[latency for latency in latencies if latency.count],
            plotted=["subscribed"],
            unit="clients/s",
            seconds=seconds,
            spread=[spread for name in ("subscribed",) if (spread := make_spread(seconds, name))],
            server=list(session.observer.samples),
        )

    def _latencies(self) -> list[Latency]:
        opened = self._session.collection.opened.values()
        return [
            make_latency(
                "connect to subscribed",
                "From opening the socket until the reply to subscribe: TCP, upgrade, token, subscription.",
                [part.to_subscribed for part in opened],
            ),
            make_latency("connect to upgraded", "Of it, until the 101.", [part.to_upgrade for part in opened]),
        ]

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        conditions = self._session.conditions
        return {
            "url": conditions.target.url,
            **msgspec.to_builtins(self._plan),
            "processes": conditions.processes,
            "cpu_client": conditions.cpu,
        }

    def _headlines(self, latency: Latency) -> list[Figure]:
        observer = self._session.observer
        subscribed = latency.count
        elapsed_s = max((part.elapsed_s for part in self._session.collection.opened.values()), default=0.0) or 1e-9
        figures = [
            Figure("clients", subscribed / elapsed_s, "/s", "connected, authenticated and subscribed"),
            Figure("subscribed", float(subscribed), "", f"in {elapsed_s:.2f} s"),
            Figure("p50", latency.at(50.0), "ms", "socket → subscribed"),
            Figure("p99", latency.at(99.0), "ms"),
            Figure("slowest", latency.at(100.0), "ms"),
        ]
        if not observer.can_see:
            return figures
        grown_kib = (self._rss_after - self._rss_before) * 1024
        return [
            *figures,
            Figure("server CPU", self._cpu_s / elapsed_s * 100, "%", "of one core, while connecting"),
            Figure("CPU per client", self._cpu_s / subscribed * 1e6 if subscribed else None, "µs"),
            Figure(
                "memory per client",
                grown_kib / subscribed if subscribed and grown_kib > 0 else None,
                "KiB",
                "growth of a fresh server",
            ),
        ]
