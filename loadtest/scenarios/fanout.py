"""Fan-out: one channel, many subscribers, publications over the HTTP API; what arrives, how fast, and is it all there."""

import time

import msgspec

from loadtest.environment import describe_environment
from loadtest.measure import count_between, latency_between, make_latency, make_seconds, make_spread
from loadtest.messages import TICK_S, Assignment, Finish, Measure, PublisherPart, SubscriberPart
from loadtest.result import Failure, Figure, Latency, Result, Second
from loadtest.sequences import Findings, SourceTotal
from loadtest.session import Conditions, Session, busy_warnings, cpu_seconds, failures_of, share_out, show_ms, soon_ns
from loadtest.swarm import Crew

__all__ = ["FanoutPlan", "conduct_fanout", "make_parts"]

_QUIET_S = 2.0


class FanoutPlan(msgspec.Struct, frozen=True):
    """`rate_per_s` 0 publishes as fast as answers come; `batch` publications go into one request."""

    subscribers: int
    rate_per_s: float
    size_bytes: int
    duration_s: int
    warmup_s: int = 1
    batch: int = 1
    connections: int = 4
    channel: str = "loadtest"
    sample: int = 20
    at_once: int = 200
    source_addresses: int = 1
    timeout_s: float = 30.0


def make_parts(plan: FanoutPlan, conditions: Conditions) -> tuple[list[SubscriberPart], PublisherPart]:
    """Divide the plan among processes: subscribers, and one process that publishes."""
    swarm = SubscriberPart(
        target=conditions.target,
        channel=plan.channel,
        first=0,
        count=plan.subscribers,
        secret=conditions.secret,
        users=max(1, plan.subscribers),
        at_once=plan.at_once,
        rate_per_s=0.0,
        sample_every=max(1, -(-plan.subscribers // plan.sample)),
        source_addresses=plan.source_addresses,
        timeout_s=plan.timeout_s,
        cpu=conditions.cpu,
    )
    publisher = PublisherPart(
        target=conditions.target,
        api_key=conditions.api_key,
        channel=plan.channel,
        rate_per_s=plan.rate_per_s,
        batch=plan.batch,
        size_bytes=plan.size_bytes,
        duration_s=float(plan.warmup_s + plan.duration_s),
        connections=plan.connections,
        cpu=conditions.cpu,
    )
    return share_out(swarm, conditions.processes, conditions.nodes), publisher


async def conduct_fanout(plan: FanoutPlan, session: Session) -> Result:
    """Run the whole scenario; a set `session.stop` ends it early, with what was measured so far.

    Raises:
        NothingMeasured: No client could subscribe.
        WorkerLost: A measuring process died.
    """
    run = _Run(plan, session)
    parts: list[Assignment] = [*run.subscribers, run.publisher]
    async with Crew(parts, session.collection.take) as crew:
        await session.prepare(crew, len(parts))
        session.figures = run.figures
        await session.open_clients(crew, run.swarm)
        await run.measure(crew)
        await run.drain(crew)
        await session.finish_clients(crew, run.swarm, Finish(run.totals()))
    return run.result()


class _Run:
    """One run: what is remembered between its stages."""

    def __init__(self, plan: FanoutPlan, session: Session) -> None:
        self._plan = plan
        self._session = session
        self.subscribers, self.publisher = make_parts(plan, session.conditions)
        self.swarm = range(len(self.subscribers))
        self._publisher_number = len(self.subscribers)
        self._rss_before = session.observer.rss_mib()
        self._rss_after = 0.0
        self._origin_ns = 0
        self._measured_s = 0

    # The stages

    async def measure(self, crew: Crew) -> None:
        """Publish for the plan's duration, or until stopped."""
        session = self._session
        if session.stop.is_set():
            return
        self._rss_after = session.observer.rss_mib()
        session.stage = "warming up" if self._plan.warmup_s else "measuring"
        self._origin_ns = soon_ns()
        session.observer.restart(self._origin_ns)
        await crew.send(Measure(self._origin_ns))
        published = self._session.collection.publishers
        await crew.until(lambda: self._has_warmed_up() or bool(published), stop=session.stop)
        session.stage = "measuring"
        await crew.until(lambda: bool(published), stop=session.stop)
        self._measured_s = self._plan.duration_s
        if not published:
            elapsed_s = (time.monotonic_ns() - self._origin_ns) / 1e9
            self._measured_s = max(0, int(elapsed_s) - self._plan.warmup_s)
            await crew.send(Finish(), self._publisher_number)
            await crew.until(lambda: bool(published), limit_s=30.0)

    async def drain(self, crew: Crew) -> None:
        """Await what is still on its way, until everything came or nothing comes any more."""
        collection = self._session.collection
        self._session.stage = "draining"
        accepted = sum(total.accepted for total in self.totals())

        def has_all() -> bool:
            return collection.totals["measure.deliveries"] >= accepted * sum(collection.connected.values())

        before = -1
        while before != collection.totals["measure.deliveries"]:
            before = collection.totals["measure.deliveries"]
            if await crew.until(has_all, limit_s=_QUIET_S):
                return

    def _has_warmed_up(self) -> bool:
        return time.monotonic_ns() - self._origin_ns > self._plan.warmup_s * 1e9

    def totals(self) -> list[SourceTotal]:
        """What was published, by source."""
        return [total for final in self._session.collection.publishers.values() for total in final.totals]

    # What is shown meanwhile

    def figures(self) -> dict[str, str]:
        """Figures of the last second."""
        collection = self._session.collection
        connected = sum(collection.connected.values())
        shown = {"connected": f"{connected:,} / {self._plan.subscribers:,}"}
        seconds = make_seconds(
            collection.of_phase("measure")[-(len(self.subscribers) + 1) * round(2 / TICK_S) :], measured=range(0)
        )
        if seconds:
            last = seconds[-2] if len(seconds) > 1 else seconds[-1]
            shown |= {
                "publications/s": f"{last.counts.get('publications', 0):,}",
                "deliveries/s": f"{last.counts.get('deliveries', 0):,}",
                "p50": show_ms(last.p50_ms),
                "p99": show_ms(last.p99_ms),
            }
        failed = sum(collection.totals[name] for name in ("open.failed", "open.closed", "measure.closed", "measure.errors"))
        return shown | {"errors": f"{failed:,}"}

    # What comes of it

    def result(self) -> Result:
        """Put the result together."""
        plan, session = self._plan, self._session
        measured = range(plan.warmup_s, plan.warmup_s + self._measured_s)
        ticks = session.collection.of_phase("measure")
        seconds = make_seconds(ticks, measured=measured)
        latency = make_latency(
            "publish to receive",
            "From the moment a publication is written to the API, or was due, until a sampled subscriber reads it.",
            latency_between(ticks, measured),
        )
        answers = make_latency(
            "API answer",
            "From writing a publish request to its whole answer.",
            [final.answers for final in session.collection.publishers.values()],
        )
        return Result(
            scenario="fanout",
            title=f"Fan-out to {plan.subscribers:,} subscribers",
            started_at=session.started_at,
            is_complete=self._measured_s == plan.duration_s and not session.stop.is_set(),
            settings=self._settings(),
            environment=describe_environment(session.server),
            figures=self._headlines(seconds, latency),
            failures=self._failures(),
            warnings=self._warnings(seconds),
            latencies=[found for found in (latency, answers) if found.count],
            plotted=["deliveries"],
            unit="deliveries/s",
            seconds=seconds,
            spread=[spread for name in ("deliveries", "publications") if (spread := make_spread(seconds, name))],
            server=list(session.observer.samples),
        )

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        conditions = self._session.conditions
        nodes = {"subscribe_urls": " ".join(node.url for node in conditions.nodes)} if conditions.nodes else {}
        return {
            "url": conditions.target.url,
            **nodes,
            **msgspec.to_builtins(self._plan),
            "processes": max(conditions.processes, len(self.subscribers)),
            "cpu_client": conditions.cpu,
        }

    def _headlines(self, seconds: list[Second], latency: Latency) -> list[Figure]:
        length_s = max(1, self._measured_s)
        deliveries = count_between(seconds, "deliveries")
        figures = [
            Figure("deliveries", deliveries / length_s, "/s", "publications received by all subscribers together"),
            Figure("publications", count_between(seconds, "publications") / length_s, "/s", "accepted by the API"),
            Figure("p50", latency.at(50.0), "ms", "publish → receive"),
            Figure("p99", latency.at(99.0), "ms"),
            Figure("p99.9", latency.at(99.9), "ms"),
            Figure("received", count_between(seconds, "received_bytes") / length_s / 1e6, "MB/s"),
        ]
        return figures + self._server_figures(deliveries, length_s)

    def _server_figures(self, deliveries: int, length_s: int) -> list[Figure]:
        observer = self._session.observer
        if not observer.can_see:
            return []
        begin_s = float(self._plan.warmup_s)
        used_s = cpu_seconds(observer.samples, begin_s, begin_s + length_s)
        opened = sum(part.subscribed for part in self._session.collection.opened.values())
        grown_kib = (self._rss_after - self._rss_before) * 1024
        return [
            Figure("server CPU", used_s / length_s * 100, "%", "of one core, all its processes together"),
            Figure("CPU per delivery", used_s / deliveries * 1e6 if deliveries else None, "µs"),
            Figure("server memory", observer.rss_mib(), "MiB", "resident, at the end"),
            Figure(
                "memory per client",
                grown_kib / opened if opened and grown_kib > 0 else None,
                "KiB",
                "growth of a fresh server while connecting",
            ),
        ]

    def _failures(self) -> list[Failure]:
        collection = self._session.collection
        finals = collection.subscribers.values()
        findings = sum((final.findings for final in finals), Findings())
        lost = max(findings.lost, sum(final.short for final in finals))
        counted = [
            Failure("lost", lost, "publications that a subscriber which stayed connected did not receive"),
            Failure("duplicated", findings.duplicated, "received twice by a sampled subscriber"),
            Failure("reordered", findings.reordered, "received after a later one of the same source by a sampled subscriber"),
            Failure(
                "unexpected",
                max(0, sum(final.over for final in finals) - findings.duplicated),
                "more received than published: is somebody else publishing in this channel?",
            ),
        ]
        return [failure for failure in counted if failure.count] + failures_of(
            [
                ("clients that could not subscribe", [part.failures for part in collection.opened.values()]),
                ("clients that were disconnected", [final.closings for final in finals]),
                ("publications that failed", [final.failures for final in collection.publishers.values()]),
            ]
        )

    def _warnings(self, seconds: list[Second]) -> list[str]:
        plan, session = self._plan, self._session
        found: list[str] = []
        if session.observer.missing:
            found.append(session.observer.missing)
        achieved = count_between(seconds, "publications") / max(1, self._measured_s)
        if plan.rate_per_s and achieved < 0.98 * plan.rate_per_s:
            found.append(
                f"only {achieved:,.0f} of {plan.rate_per_s:,.0f} publications/s were accepted: the server was past its limit"
            )
        late = sum(final.late for final in session.collection.publishers.values())
        if late:
            found.append(f"{late:,} requests had to wait for a free connection; their waiting is part of the latency")
        return found + busy_warnings(session.collection, "measure", range(plan.warmup_s, plan.warmup_s + self._measured_s))
