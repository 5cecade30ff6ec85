"""The pipeline's component: claims steps, has them decided or delivered, and has written down what became of them.

One claim is in flight at a time and takes as much as the lanes' quotas allow; while claims come back full the next follows at
once. Between claims the pipeline sleeps until the store has work, a step falls due, or a second has passed: other processes
make work too. Everything that is claimed is bounded: what a provider cannot take now is left in the store.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from broker.bell import Bell
from broker.channels import ChannelRules
from broker.errors import StoreUnavailable
from broker.frequency import Frequency
from broker.inbox_news import InboxChanged, nobody_asks
from broker.ledger import Ledger, PlanDone, SendDone, Step, StepKind
from broker.limits import Limits
from broker.notification import Lane
from broker.notification import Provider as ProviderName
from broker.outage import Outage
from broker.overrides import InForce
from broker.pipeline_reports import CarrierReport
from broker.presence import UserPresence
from broker.pubsub import PubSub
from config.clock import Clock
from config.logs import get_logger
from config.settings import NotificationSettings, ProviderLimits
from config.tracing import NO_TRACING, Tracing
from pushers import verdict
from pushers.completion import to_completion, within
from pushers.deletion_guard import DeletionGuard
from pushers.express import Express
from pushers.follow_ups import FollowUps
from pushers.gate import Gate
from pushers.haste import Haste, Turn, one_turn
from pushers.lanes import hungry_lanes, quotas
from pushers.leases import Held, renew_forever
from pushers.metrics import Metrics
from pushers.passages import Passages
from pushers.planner import Planner
from pushers.policies import Policies
from pushers.provider import Provider
from pushers.rates import Rates
from pushers.recorder import Recorder
from pushers.report import Report
from pushers.retry import RetryPolicy
from pushers.retry_budget import RetryBudget
from pushers.templates.telling import Telling
from pushers.tracing.parts import parts_of
from pushers.worker import Worker

__all__ = ["Pipeline", "PipelineStatistics"]

_log = get_logger()

_BATCH: Final = 500
_BATCH_IN_HASTE: Final = 75
# So many decisions are carried out in a turn of the loop.
_SLICE: Final = 25
# With so many results unwritten even critical steps wait to be claimed in their turn.
_UNWRITTEN: Final = 4 * _BATCH
_POLL_S: Final = 1.0
# So long at most, decisions wait for passages to be through; then what providers are slow to take is opened as steps.
_HOLD_S: Final = 0.3
# A step that is due and yet was not claimed belongs to a provider that is left alone: looking again at once helps nobody.
_LEAST_WAIT_S: Final = 0.05
# However long the calls took, so long what came of them may take to be written at the end.
_LEAST_WRITING_S: Final = 1.0


class _Shut(msgspec.Struct, frozen=True):
    """Which carriers nothing more is claimed for now, by lanes."""

    to_others: set[str]
    to_critical: set[str]


class PipelineStatistics(msgspec.Struct, frozen=True):
    """What is held now: steps in all, those that wait for a place, calls under way, and results not written yet."""

    held: int
    queued: int
    under_way: int
    unwritten: int


class Pipeline:
    """The component. Providers belong to whoever made them, and are closed by them after `stop`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        pubsub: PubSub,
        user_presence: UserPresence,
        limits: Limits,
        rules: ChannelRules,
        providers: Sequence[Provider],
        provider_limits: Mapping[str, ProviderLimits],
        settings: NotificationSettings,
        clock: Clock,
        worker_id: str,
        metrics: Metrics | None = None,
        frequency: Frequency | None = None,
        stop_timeout_s: float = 3.0,
        telling: Telling | None = None,
        inbox_changed: InboxChanged = nobody_asks,
        haste: Haste | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._make = parts_of(tracing, clock)
        self._telling, self._inbox_changed, self._haste = telling, inbox_changed, haste or Haste(clock)
        self.started = asyncio.Event()
        self._ledger, self._settings, self._clock, self._id = ledger, settings, clock, worker_id
        self._stop_timeout_s = stop_timeout_s
        self.metrics = metrics or Metrics(CollectorRegistry())
        self._policy = RetryPolicy.of(settings)
        self._report = Report(self.metrics)
        self._work = Bell(clock)
        self._held = Held()
        self._outage, self._hold_until = Outage("store", clock), 0.0
        # So few that providers with a place for each still have something to do while more is claimed.
        few = 2 * settings.concurrency
        self._passages = Passages(self._held, clock, few=few, on_few=self._work.ring)
        self._recorder = Recorder(
            ledger, self._held, clock, bound=2 * _BATCH, written=self._written, passages=self._passages, haste=self._haste
        )
        self._rates = rates = Rates(limits, provider_limits, clock)
        self._overrides = InForce()
        self.guards: list[DeletionGuard] = []
        self._policies = Policies(settings)
        self._workers = {provider.name: self._make_worker(provider, rates) for provider in providers}
        self._planner = self._make_planner(pubsub, rules, user_presence, frequency)
        self._follow_ups = FollowUps(self._passages, self._planner, self._recorder, clock, self._haste)
        self._express = self._make_express()
        self._group: asyncio.TaskGroup | None = None
        self._sleeps_until: datetime | None = None
        self._stop_asked = asyncio.Event()
        self._ended = asyncio.Event()

    def statistics(self) -> PipelineStatistics:
        """Count what is held."""
        workers = self._workers.values()
        return PipelineStatistics(
            held=len(self._held),
            queued=sum(worker.queued for worker in workers),
            under_way=sum(worker.under_way for worker in workers),
            unwritten=len(self._recorder),
        )

    def concerns(self) -> list[str]:
        """Tell which carriers are left alone because their settings are wrong, and what was said of them."""
        complaints = {name: worker.complaint for name, worker in self._workers.items()}
        return [f"{name} is paused: {complaint}" for name, complaint in complaints.items() if complaint]

    def renewed(self, name: str) -> None:
        """Hear that a carrier has new credentials: it is tried at once, however long it was to be left alone."""
        if (worker := self._workers.get(name)) is not None:
            worker.trust_again()
            self._work.ring()

    def obey(self, overrides: InForce) -> None:
        """Hold to what operators say otherwise, until told again. What is claimed already goes its ways, but for carriers that
        are to be left alone."""
        self._overrides = overrides
        self._rates.override(overrides.rates)
        for name, worker in self._workers.items():
            worker.hold(overrides.leaves_alone(name))
        self._work.ring()

    def carriers(self) -> list[CarrierReport]:
        """Tell how each carrier is."""
        ended = self.metrics.deliveries_by("provider")
        return [
            CarrierReport(
                name,
                worker.breaker_state.value,
                worker.under_way,
                worker.queued,
                ended.get(name, 0),
                self._rates.per_s(name),
                worker.is_held,
                worker.complaint,
                worker.last,
                self._rates.share(name),
            )
            for name, worker in self._workers.items()
        ]

    def serving(self) -> frozenset[str]:
        """Name the carriers that may be called now; all of them where that is none."""
        return frozenset(name for name, worker in self._workers.items() if not worker.is_blocked) or frozenset(self._workers)

    async def run(self) -> None:
        """Work until `stop` is called. One call per object."""
        if self._stop_asked.is_set():
            return
        self._ledger.on_work(self._work.ring)
        self._ledger.on_critical(self._express.asks, self._express.take)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._express.open(group)
                claiming = group.create_task(self._claim_forever(), name="pipeline:claim")
                following = group.create_task(self._follow_ups.run(), name="pipeline:follow")
                recording = group.create_task(self._recorder.run(), name="pipeline:record")
                hurrying = group.create_task(self._haste.run(), name="pipeline:haste")
                renewing = group.create_task(
                    renew_forever(self._held, self._ledger, self._clock, self._settings.lease), name="pipeline:renew"
                )
                self.started.set()
                await self._stop_asked.wait()
                await self._wind_down(claiming, following)
                recording.cancel()
                renewing.cancel()
                hurrying.cancel()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Stop claiming, finish what is under way within the time given, write it down, and give the rest back.

        May come twice, or before the start; returns when `run` is over.
        """
        self._stop_asked.set()
        if self.started.is_set():
            await self._ended.wait()

    async def _wind_down(self, claiming: asyncio.Task[None], following: asyncio.Task[None]) -> None:
        # 1 claim nothing more
        claiming.cancel()
        await asyncio.wait({claiming})
        await self._express.close()
        # 2 what was not begun is given back by the release below
        for worker in self._workers.values():
            worker.give_up_queue()
        # 3 calls under way may end
        deadline = self._clock.monotonic() + self._stop_timeout_s
        finishing = asyncio.gather(*(worker.finish() for worker in self._workers.values()))
        if not await within(finishing, self._stop_timeout_s, self._clock):
            _log.warning("pipeline.cut_off", under_way=self.statistics().under_way)
            for worker in self._workers.values():
                await worker.cut_off()
        # 4 what they came to is written
        following.cancel()
        await asyncio.wait({following})
        self._recorder.add_passages(self._passages.give_up())
        drained = asyncio.ensure_future(self._recorder.drained())
        left_s = max(_LEAST_WRITING_S, deadline - self._clock.monotonic())
        if not await within(drained, left_s, self._clock):
            _log.warning("pipeline.unwritten", results=len(self._recorder))
        # 5 the leases go back, so that others need not wait until they run out
        try:
            await self._ledger.release(self._id)
        except StoreUnavailable as exc:
            _log.warning("pipeline.unreleased", reason=str(exc))

    async def _claim_forever(self) -> None:
        hungry = frozenset(Lane)
        while True:
            try:
                await self._recorder.room()
                if self._haste.rests:
                    await self._haste.turn()
                self._work.silence()
                hungry = await self._claim(hungry)
                wait_s = self._hold_s() or (0.0 if hungry else await self._rest_s())
                self._outage.ended()
            except StoreUnavailable as exc:
                await self._clock.sleep(self._outage.failed(exc))
                continue
            except Exception:  # the edge of a claim: the pipeline never dies of an error of ours
                _log.exception("claim.broke")
                wait_s = _POLL_S
            if wait_s:
                self._sleeps_until = self._clock.now() + timedelta(seconds=wait_s)
                await self._work.wait_for(wait_s)
                self._sleeps_until = None

    async def _claim(self, hungry: frozenset[Lane]) -> frozenset[Lane]:
        """Claim once and set everything going; tells which lanes came back full."""
        shut = self._shut()
        if self._hold_s():
            await self._begin(await self._ask_for({Lane.CRITICAL: _BATCH}, shut.to_critical), shut, self._haste.turn)
            return hungry
        asked = quotas(_BATCH_IN_HASTE if self._haste.is_on else _BATCH, hungry)
        steps = list(await self._ask_for(asked, shut.to_others))
        if shut.to_others - shut.to_critical:
            steps += await self._ask_for({Lane.CRITICAL: _BATCH}, shut.to_critical)
        self._hold_until = self._clock.monotonic() + _HOLD_S
        await self._begin(steps, shut, self._haste.turn)
        return hungry_lanes(steps, asked)

    def _shut(self) -> _Shut:
        blocked = {name for name, worker in self._workers.items() if worker.is_blocked}
        full = {name for name, worker in self._workers.items() if worker.is_full()}
        # Critical steps overtake what waits here, so they are not left behind it in the store.
        return _Shut(blocked | full, blocked | {name for name, one in self._workers.items() if one.is_full_of_critical})

    def _wants_critical(self) -> bool:
        """Whether critical plans may come as they are stored, beside what is claimed."""
        if Lane.CRITICAL in self._overrides.lanes or len(self._recorder) >= _UNWRITTEN:
            return False
        return not any(worker.is_full_of_critical for worker in self._workers.values())

    async def _begin_critical(self, steps: Sequence[Step]) -> None:
        await self._begin(steps, self._shut(), one_turn)

    def _hold_s(self) -> float:
        """Tell how long all but critical steps wait for passages to be through; 0 for not at all."""
        return max(0.0, self._hold_until - self._clock.monotonic()) if self._passages.are_many else 0.0

    async def _ask_for(self, asked: Mapping[Lane, int], paused: set[str]) -> Sequence[Step]:
        if self._overrides.lanes:
            asked = {lane: quota for lane, quota in asked.items() if lane not in self._overrides.lanes}
            if not asked:
                return []
        lease_until = self._clock.now() + timedelta(seconds=self._settings.lease)
        return await to_completion(self._ledger.claim(self._id, asked, lease_until=lease_until, paused=frozenset(paused)))

    async def _begin(self, steps: Sequence[Step], shut: "_Shut", turn: Turn) -> None:
        """Set claimed steps going: decisions here and now, deliveries at their workers."""
        plans: list[Step] = []
        for step in steps:
            if not self._held.take(step):
                continue  # under way here already: what that comes to is written under the new lease
            if step.kind is StepKind.PLAN:
                plans.append(step)
                continue
            try:
                self._dispatch(step)
            except Exception:  # the edge of a step: its lease runs out, and it is taken over
                _log.exception("delivery.lost", notification=step.notification.id)
                self._held.drop(step)
        if plans:
            await self._carry_out(await self._planner.decide(plans, turn), shut, turn)

    async def _carry_out(self, decided: Sequence[PlanDone], shut: "_Shut", turn: Turn) -> None:
        """Begin what decisions ask for, or have them recorded; where it is broken off, the rest is recorded."""
        for first in range(0, len(decided), _SLICE):
            if first:
                try:
                    await turn()
                except asyncio.CancelledError:  # what went live already must not be decided anew
                    self._recorder.add_plans(decided[first:])
                    raise
            self._recorder.add_plans([done for done in decided[first : first + _SLICE] if not self._pass_through(done, shut)])

    def _pass_through(self, done: PlanDone, shut: "_Shut") -> bool:
        """Begin what a decision asks for under the plan's own lease; False where it is to be recorded at first.

        What counts against a cap is: decisions that follow must know of it. So is what would go to addresses that are to be
        left alone, since that is told when their steps are claimed.
        """
        if not done.sends or done.counts:
            return False
        closed = shut.to_critical if done.step.notification.lane is Lane.CRITICAL else shut.to_others
        now, left_alone = self._clock.now(), done.step.left_alone
        for send in done.sends:
            carrier = send.device.carrier
            if carrier not in self._workers or carrier in closed or send.device.id in left_alone or send.due_at > now:
                return False
        steps = self._passages.begin(done)
        for step in steps:
            self._offer(step)
        return bool(steps)

    def _offer(self, step: Step) -> None:
        assert step.device is not None
        try:
            self._workers[step.device.carrier].offer(step)
        except Exception:  # the edge of a step: its lease runs out, and it is taken over
            _log.exception("delivery.lost", notification=step.notification.id)
            self._held.drop(step)

    async def _rest_s(self) -> float:
        """Tell how long nothing needs to be claimed."""
        if self._work.is_rung:
            return 0.0
        busy = frozenset(name for name, worker in self._workers.items() if worker.is_blocked or worker.is_full())
        lanes = [lane for lane in Lane if lane not in self._overrides.lanes]
        due_at = await self._ledger.next_due(paused=busy, lanes=lanes)
        if due_at is None:
            return _POLL_S
        return min(_POLL_S, max(_LEAST_WAIT_S, (due_at - self._clock.now()).total_seconds()))

    def _written(self, plans: Sequence[PlanDone], sends: Sequence[SendDone]) -> None:
        """Count what is written, tell of what arrived, and wake up for what falls due earlier than anybody knew."""
        for plan in plans:
            self.metrics.planned(plan)
        if arrived := dict.fromkeys(plan.step.notification.user for plan in plans if plan.arrives):
            self._inbox_changed(tuple(arrived))
        # Awake it may have asked already how long to sleep, and not know of this.
        until = self._sleeps_until or self._clock.now() + timedelta(seconds=_POLL_S)
        if any(plan.next_plan_at is not None and plan.next_plan_at < until for plan in plans) or any(
            (send.retry_at or send.replan_at) < until for send in sends
        ):
            self._work.ring()

    def _dispatch(self, step: Step) -> None:
        """Hand a delivery to its provider's worker, or end it where there is none."""
        device, now = step.device, self._clock.now()
        if device is None:
            self._recorder.add_send(verdict.removed(step, now=now))
            return
        peace = self._policies.peace(step, device.provider.route, now)
        if peace is not None and now < step.notification.expires_at:
            # A retry, or what waited long: what disturbs is judged at the moment it would be sent.
            self._recorder.add_send(verdict.put_off(step, until=peace.until, now=now))
            return
        if step.suppressed:
            done = verdict.suppressed(step, device, now=now)
            self._recorder.add_send(done)
            self._report.ended(done, now=now)
            return
        worker = self._workers.get(device.carrier)
        if worker is not None and now < step.notification.expires_at:
            worker.offer(step)
            return
        end = verdict.unconfigured if now < step.notification.expires_at else verdict.expired
        done = end(step, device, now=now)
        self._recorder.add_send(done)
        self._report.ended(done, now=now)

    def _make_planner(
        self, pubsub: PubSub, rules: ChannelRules, user_presence: UserPresence, frequency: Frequency | None
    ) -> Planner:
        return self._make.planner(
            self._make.live(pubsub, rules),
            user_presence,
            frequency,
            policies=self._policies,
            # A device of an app that is not configured is told so by `_dispatch`, which knows the apps.
            reachable=frozenset(ProviderName(name.partition(":")[0]) for name in self._workers),
            policy=self._policy,
            held=self._held,
            is_ended=self._ledger.is_ended,
            open_carriers=lambda: frozenset(name for name, worker in self._workers.items() if worker.is_out),
            clock=self._clock,
            telling=self._telling,
        )

    def _make_worker(self, provider: Provider, rates: Rates) -> Worker:
        gate = Gate(provider.name, self._clock)
        guard = DeletionGuard(provider.name, self._settings.deletion_guard, self._clock)
        self.guards.append(guard)
        worker = self._make.worker(
            provider,
            gate,
            guard=guard,
            rates=rates,
            retries=RetryBudget(self._settings.retry_budget, self._settings.retry_budget_least, self._clock),
            policy=self._policy,
            concurrency=self._settings.concurrency,
            held=self._held,
            recorder=self._recorder,
            report=self._report,
            is_ended=self._ledger.is_ended,
            passes_on=self._policies.skips_open,
            on_room=self._work.ring,
            spawn=self._spawn,
            clock=self._clock,
            telling=self._telling,
        )
        self.metrics.watch(provider.name, lambda: gate.state, lambda: worker.under_way)
        self.metrics.watch_pause(provider.name, lambda: gate.complaint)
        self.metrics.watch_guard(guard)
        self.metrics.watch_share(provider.name, lambda: rates.share(provider.name))
        return worker

    def _make_express(self) -> Express:
        wants, begin = self._wants_critical, self._begin_critical
        return Express(
            self._id, self._settings.lease, self._clock, wants=wants, begin=begin, outage=self._outage, haste=self._haste
        )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None, "deliveries begin while the pipeline runs"
        return self._group.create_task(work, name=name)
