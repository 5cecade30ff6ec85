"""Notify: API → store → pipeline → providers, to users that are away and have one registered device each."""

import time
from collections.abc import Iterable

import msgspec

from loadtest.environment import describe_environment
from loadtest.histogram import Histogram
from loadtest.http_client import HttpConnection
from loadtest.measure import Collection, make_latency, make_seconds, make_spread
from loadtest.messages import TICK_S, Finish, Measure, NotifierPart, Tick
from loadtest.pipeline_watch import Arrival, PipelineWatch
from loadtest.result import Failure, Figure, Latency, Result, Second
from loadtest.scenarios.registering import register_devices
from loadtest.session import Conditions, NothingMeasured, Session, alongside, cpu_seconds, failures_of, show_ms, soon_ns
from loadtest.swarm import Crew

__all__ = ["NotifyPlan", "conduct_notify", "make_part"]

_SAMPLE = 200
_OUTBOX_EVERY = 8_000
_PATIENCE_S = 30.0


class NotifyPlan(msgspec.Struct, frozen=True):
    """`rate_per_s` 0 sends as fast as answers come, over `connections`."""

    notifications: int
    per_request: int = 100
    users: int = 1000
    rate_per_s: float = 0.0
    connections: int = 4
    provider: str = "fcm"
    routes: tuple[str, ...] = ("live", "push")
    priority: str = "normal"


def make_part(plan: NotifyPlan, conditions: Conditions) -> NotifierPart:
    """Write the plan down for the one process that notifies."""
    return NotifierPart(
        target=conditions.target,
        api_key=conditions.api_key,
        users=_users(plan),
        count=plan.notifications,
        per_request=plan.per_request,
        rate_per_s=plan.rate_per_s,
        connections=plan.connections,
        routes=list(plan.routes),
        priority=plan.priority,
        cpu=conditions.cpu,
    )


def _users(plan: NotifyPlan) -> list[str]:
    return [f"load-{plan.provider}-{number}" for number in range(plan.users)]


async def conduct_notify(plan: NotifyPlan, session: Session) -> Result:
    """Run the whole scenario; a set `session.stop` ends it early, with what was measured so far.

    Raises:
        NothingMeasured: A device could not be registered, or nothing was accepted.
        WorkerLost: The measuring process died.
    """
    run = _Run(plan, session)
    async with Crew([make_part(plan, session.conditions)], session.collection.take) as crew:
        await session.prepare(crew, 1)
        await run.register()
        session.figures = run.figures
        async with alongside(run.watch.run(), "watch"):
            await run.notify(crew)
            await run.work_off(crew)
    await run.close()
    return run.result()


class _Run:
    def __init__(self, plan: NotifyPlan, session: Session) -> None:
        self._plan = plan
        self._session = session
        self._connection = HttpConnection(session.conditions.target, session.conditions.api_key)
        self.watch = PipelineWatch(self._connection)
        self._followed = 0
        self._origin_ns = 0
        self._origin_at = 0.0
        self._sent_at: dict[str, float] = {}
        self._is_complete = False

    # The stages

    async def register(self) -> None:
        """Give every user one device."""
        session = self._session
        session.stage = "registering devices"
        await register_devices(self._plan.provider, _users(self._plan), session.conditions, session.stop)

    async def notify(self, crew: Crew) -> None:
        """Hand all notifications in, following a sample of them and reading the outbox before it overflows."""
        session, collection = self._session, self._session.collection
        if session.stop.is_set():
            return
        # Tells whether there is an outbox. Not later, since reading it takes its part of what is measured.
        await self.watch.read_outbox(set())
        session.stage = "notifying"
        self._origin_ns = soon_ns()
        self._origin_at = time.time() + (self._origin_ns - time.monotonic_ns()) / 1e9
        session.observer.restart(self._origin_ns)
        await crew.send(Measure(self._origin_ns))
        read_at = _OUTBOX_EVERY
        while not collection.notifiers and not session.stop.is_set():
            await crew.until(lambda: bool(collection.notifiers), limit_s=0.5, stop=session.stop)
            self._follow_accepted()
            if len(self._sent_at) >= read_at:
                await self.watch.read_outbox(set(self._sent_at))
                read_at = len(self._sent_at) + _OUTBOX_EVERY
        if not collection.notifiers:
            await crew.send(Finish())
            await crew.until(lambda: bool(collection.notifiers), limit_s=_PATIENCE_S)
        self._follow_accepted()
        if not self._sent_at and not session.stop.is_set():
            reasons = [text for final in collection.notifiers.values() for text in final.failures]
            raise NothingMeasured(f"no notification was accepted: {reasons[0] if reasons else 'no reason was told'}")

    async def work_off(self, crew: Crew) -> None:
        """Await that everything accepted has left the pipeline, or that nothing leaves it any more."""
        self._session.stage = "working off"
        quiet_since, progress = time.monotonic(), -1
        while not self._session.stop.is_set():
            if self._has_all():
                self._is_complete = True
                return
            await crew.until(lambda: False, limit_s=0.5, stop=self._session.stop)
            if self.watch.is_settled or len(self._sent_at) > _OUTBOX_EVERY:
                await self.watch.read_outbox(set(self._sent_at))
            now_progress = len(self.watch.arrivals) + len(self.watch.states)
            if now_progress != progress:
                quiet_since, progress = time.monotonic(), now_progress
            elif time.monotonic() - quiet_since > _PATIENCE_S:
                return

    async def close(self) -> None:
        """Close what this side of the scenario had opened."""
        await self._connection.aclose()

    def _has_all(self) -> bool:
        if self.watch.has_outbox:
            return len(self.watch.arrivals) >= len(self._sent_at)
        return self.watch.is_settled

    def _follow_accepted(self) -> None:
        """Take newly accepted notifications in; every n-th is followed."""
        every = max(1, self._plan.notifications // _SAMPLE)
        accepted = self._session.collection.accepted
        for request in accepted[self._followed :]:
            for notification_id in request.ids:
                if len(self._sent_at) % every == 0:
                    self.watch.follow(notification_id)
                self._sent_at[notification_id] = request.sent_at
        self._followed = len(accepted)

    # What is shown meanwhile

    def figures(self) -> dict[str, str]:
        """Figures so far; those worked off are an estimate from the sample."""
        collection = self._session.collection
        seconds = make_seconds(collection.of_phase("measure"), measured=range(0))
        last = seconds[-2] if len(seconds) > 1 else Second(0, {}, None, None, 0)
        return {
            "accepted": f"{len(self._sent_at):,} / {self._plan.notifications:,}",
            "accepted/s": f"{last.counts.get('accepted', 0):,}",
            "worked off": f"≈ {self.watch.settled_share:.0%}",
            "p50": show_ms(_ms(self._travel().percentile(50.0))),
            "errors": f"{collection.totals['measure.errors']:,}",
        }

    # What comes of it

    def _travel(self) -> Histogram:
        """From handing a notification in to its arrival at the provider."""
        travel = Histogram()
        for arrival in self.watch.arrivals.values():
            travel.record(int((arrival.at - self._sent_at[arrival.notification_id]) * 1e9))
        return travel

    def result(self) -> Result:
        """Put the result together."""
        plan, session = self._plan, self._session
        ticks = [*session.collection.of_phase("measure"), *self._arrival_ticks()]
        seconds = make_seconds(ticks, measured=range(1_000_000))
        travel = make_latency(
            "request to provider",
            "From sending the request of a notification until the provider's simulator received it (milliseconds resolve).",
            self._travel(),
        )
        answers = make_latency(
            "API answer",
            f"From writing a request of {plan.per_request} notifications to its whole answer: all of them stored.",
            [final.answers for final in session.collection.notifiers.values()],
        )
        return Result(
            scenario="notify",
            title=f"{plan.notifications:,} notifications through the pipeline",
            started_at=session.started_at,
            is_complete=self._is_complete,
            settings=self._settings(),
            environment=describe_environment(session.server),
            figures=self._headlines(travel, answers),
            failures=self._failures(session.collection),
            warnings=self._warnings(),
            latencies=[latency for latency in (travel, answers) if latency.count],
            plotted=["accepted", "worked_off"],
            unit="notifications/s",
            seconds=seconds,
            spread=[
                spread for name in ("accepted", "worked_off") if (spread := make_spread(_while_going(seconds, name), name))
            ],
            server=list(session.observer.samples),
        )

    def _arrival_ticks(self) -> Iterable[tuple[int, Tick]]:
        """Write arrivals down as if a worker had counted them when they happened."""
        by_slot: dict[int, list[Arrival]] = {}
        for arrival in self.watch.arrivals.values():
            by_slot.setdefault(max(0, int((arrival.at - self._origin_at) / TICK_S)), []).append(arrival)
        for slot, arrivals in by_slot.items():
            latency = Histogram()
            for arrival in arrivals:
                latency.record(int((arrival.at - self._sent_at[arrival.notification_id]) * 1e9))
            yield -1, Tick("measure", slot, {"worked_off": len(arrivals)}, latency.counts(), 0, 0.0)

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        conditions = self._session.conditions
        plan = {**msgspec.to_builtins(self._plan), "routes": ",".join(self._plan.routes)}
        return {"url": conditions.target.url, **plan, "cpu_client": conditions.cpu}

    def _headlines(self, travel: Latency, answers: Latency) -> list[Figure]:
        accepted = len(self._sent_at)
        accepting_s = max((final.elapsed_s for final in self._session.collection.notifiers.values()), default=0.0) or 1e-9
        figures = [
            Figure("accepted", accepted / accepting_s, "/s", f"{accepted:,} stored, in requests of {self._plan.per_request}"),
            Figure("worked off", self._worked_off_rate(), "/s", "first request to last arrival at the provider"),
            Figure("p50", travel.at(50.0), "ms", "request → provider"),
            Figure("p99", travel.at(99.0), "ms"),
            Figure("slowest", travel.at(100.0), "ms"),
            Figure("API answer p99", answers.at(99.0), "ms", "all of a request stored"),
        ]
        observer = self._session.observer
        if observer.can_see and observer.samples:
            end_s = observer.samples[-1].at_s
            used_s = cpu_seconds(observer.samples, 0.0, end_s)
            figures += [
                Figure("server CPU", used_s / end_s * 100, "%", "of one core, all its processes together"),
                Figure(
                    "CPU per notification", used_s / accepted * 1e6 if accepted else None, "µs", "accept, store and deliver"
                ),
                Figure("server memory", observer.rss_mib(), "MiB", "resident, at the end"),
            ]
        return figures

    def _worked_off_rate(self) -> float | None:
        arrivals = self.watch.arrivals.values()
        if not arrivals:
            return None
        # Without an outbox the sample stands for all: its last arrival is about the last of all.
        count = len(arrivals) if self.watch.has_outbox else len(self._sent_at)
        lasted_s = max(arrival.at for arrival in arrivals) - min(self._sent_at.values())
        return count / lasted_s if lasted_s > 0 else None

    def _failures(self, collection: Collection) -> list[Failure]:
        found = failures_of(
            [("notifications that were not accepted", [final.failures for final in collection.notifiers.values()])]
        )
        if self.watch.has_outbox and (missing := len(self._sent_at) - len(self.watch.arrivals)):
            found.append(Failure("not delivered", missing, "accepted, but not seen at the provider when the run ended"))
        if self.watch.repeated:
            found.append(Failure("delivered twice", self.watch.repeated, "seen more than once at the provider"))
        unfinished = [state for state in self.watch.states.values() if state in {"failed", "expired", "cancelled"}]
        if unfinished:
            found.append(
                Failure(
                    "ended badly",
                    len(unfinished),
                    f"of {len(self.watch.states):,} followed: {', '.join(sorted(set(unfinished)))}",
                )
            )
        return found

    def _warnings(self) -> list[str]:
        found = [self._session.observer.missing] if self._session.observer.missing else []
        if not self.watch.has_outbox:
            found.append(f"no /dev/outbox here: latencies are those of {len(self.watch.asked):,} followed notifications")
        elif self.watch.outbox_reads > 3:
            found.append(f"the outbox was read {self.watch.outbox_reads} times during the run, which the server paid for")
        return found


def _while_going(seconds: list[Second], name: str) -> list[Second]:
    """The seconds up to the last in which the count rose: accepting ends long before working off does."""
    last = max((second.at_s for second in seconds if second.counts.get(name)), default=-1)
    return [second for second in seconds if second.at_s <= last]


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6
