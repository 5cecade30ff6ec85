"""Carries the deliveries of one provider: a short queue, a bounded number of calls under way, and nothing shared with others.

A hanging provider fills its own places and its own queue; then it is left out of claims, and the others never notice. In the
queue critical deliveries go first, and of ten places one is theirs alone, so that they need not wait for a call to end; the
others keep the order of their claims, which have shared out the lanes already.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

from broker.breaker import BreakerState
from broker.errors import EngineUnavailable
from broker.last_look import LastLook
from broker.ledger import SendDone, Step
from broker.notification import Device, Lane, Notification
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger
from pushers import verdict
from pushers.deletion_guard import DeletionGuard
from pushers.gate import Gate, Permit
from pushers.leases import Held
from pushers.outcome import ConfigPause, Retry, SendOutcome
from pushers.provider import Provider
from pushers.rates import Rates
from pushers.recorder import Recorder
from pushers.report import Report
from pushers.retry import RetryPolicy
from pushers.retry_budget import RetryBudget
from pushers.templates.telling import Telling

__all__ = ["Spawn", "Worker"]

_log = get_logger()

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


# How many steps may wait for each place: enough that claims are large (a quarter less work per notification than with one),
# few enough that what is held here is small beside the store's queue.
_QUEUED_PER_PLACE: Final = 4
# Of so many places one is kept free for critical deliveries.
_PLACES_PER_KEPT: Final = 10


class Worker:
    """One provider's deliveries. Everything but the calls themselves happens in the loop turn that brings it."""

    def __init__(
        self,
        provider: Provider,
        gate: Gate,
        *,
        guard: DeletionGuard,
        rates: Rates,
        retries: RetryBudget,
        policy: RetryPolicy,
        concurrency: int,
        held: Held,
        recorder: Recorder,
        report: Report,
        is_ended: Callable[[str], bool],
        passes_on: Callable[[Step], bool],
        on_room: Callable[[], None],
        spawn: Spawn,
        clock: Clock,
        telling: Telling | None = None,
    ) -> None:
        self._telling = telling
        self._provider, self._gate, self._rates, self._policy = provider, gate, rates, policy
        self._guard, self._retries = guard, retries
        self._concurrency, self._most = concurrency, _QUEUED_PER_PLACE * concurrency
        self._for_all = concurrency - concurrency // _PLACES_PER_KEPT
        self._held, self._recorder, self._report = held, recorder, report
        self._is_ended, self._on_room, self._spawn, self._clock = is_ended, on_room, spawn, clock
        self._passes_on = passes_on
        self._critical: deque[Step] = deque()
        self._others: deque[Step] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0  # tasks that have not looked at the queue yet
        self._places = 0  # those and the ones that serve it
        self._is_awaited = False
        self._throttle = rates.throttle(provider.name)
        self._limits_outage = Outage("limits", clock, base_s=1.0)

    @property
    def queued(self) -> int:
        """How many steps wait here."""
        return len(self._critical) + len(self._others)

    @property
    def breaker_state(self) -> BreakerState:
        """Where its breaker stands."""
        return self._gate.state

    @property
    def under_way(self) -> int:
        """How many calls are under way, or about to be."""
        return len(self._tasks)

    @property
    def complaint(self) -> str:
        """What is held against the settings; empty for nothing."""
        return self._gate.complaint

    @property
    def last(self) -> LastLook:
        """What came of the last call."""
        return self._gate.last

    def trust_again(self) -> None:
        """Hear that the settings have changed."""
        self._gate.trust_again()

    def hold(self, is_held: bool) -> None:
        """Hear whether an operator has this carrier left alone; what waits here goes back then. Calls under way may end."""
        self._gate.is_held = is_held
        if is_held:
            self._pump()

    @property
    def is_held(self) -> bool:
        """Whether an operator has it left alone."""
        return self._gate.is_held

    @property
    def is_blocked(self) -> bool:
        """Whether nothing may pass now, so that claims should leave this provider alone."""
        return self._gate.blocked_s() > 0

    @property
    def is_out(self) -> bool:
        """Whether its breaker is open, its settings are wrong, or it is held: what must not wait looks for another way."""
        return self._gate.is_out

    def is_full(self) -> bool:
        """Whether enough waits here already; then `on_room` is called once there is room again."""
        is_full = self.queued >= (self._most if self._gate.is_wide_open else 1)
        self._is_awaited = self._is_awaited or is_full  # whoever saw it full still waits
        return is_full

    @property
    def is_full_of_critical(self) -> bool:
        """Whether even critical steps should be left where they are."""
        return len(self._critical) >= self._concurrency

    def offer(self, step: Step) -> None:
        """Take a claimed step that has a device of this provider."""
        queue = self._critical if step.notification.lane is Lane.CRITICAL else self._others
        queue.append(step)
        self._pump()

    def give_up_queue(self) -> None:
        """Forget what was not begun: for the end, when all leases are released."""
        for step in (*self._critical, *self._others):
            self._held.drop(step)
        self._critical.clear()
        self._others.clear()

    async def finish(self) -> None:
        """Wait for the calls under way."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def cut_off(self) -> None:
        """Break the calls off that are still under way; what they came to is unknown."""
        for task in self._tasks:
            task.cancel()
        await self.finish()

    def _pump(self) -> None:
        """Put free places to work, or put everything back while nothing may pass."""
        if not self.queued:
            return
        if (blocked_s := self._gate.blocked_s()) > 0:
            self._put_all_back(blocked_s)
            return
        free = max(self._for_all - self._places, min(len(self._critical), self._concurrency - self._places))
        wanted = min(self.queued - self._starting, free)
        if not self._gate.is_wide_open:
            wanted = min(wanted, 1)  # each probe that comes back well calls the next
        for _ in range(wanted):
            self._starting += 1
            self._places += 1
            task = self._spawn(self._carry(), f"delivery:{self._provider.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self) -> None:
        """Serve the queue from one place until it is empty or nothing may pass."""
        self._starting -= 1
        try:
            await self._serve()
        finally:
            self._places -= 1

    async def _serve(self) -> None:
        while self.queued:
            if not self._critical and self._places > self._for_all:
                return
            step = (self._critical or self._others).popleft()
            self._call_for_more()
            if not self._still_holds(step):
                continue
            permit = self._gate.enter()
            if permit is None:
                (self._critical if step.notification.lane is Lane.CRITICAL else self._others).appendleft(step)
                if (blocked_s := self._gate.blocked_s()) > 0:
                    self._put_all_back(blocked_s)
                return
            try:
                await self._deliver(step, permit)
            except Exception:  # the net under the edge: the lease runs out, and the step is taken over
                _log.exception("delivery.lost", notification=step.notification.id, provider=self._provider.name)
                self._held.drop(step)
            if not self._gate.is_wide_open or self._places < self._for_all:
                self._pump()

    def _still_holds(self, step: Step) -> bool:
        """Look a last time before a call whether anybody still wants it."""
        assert step.device is not None
        if self._is_ended(step.notification.id):
            self._held.drop(step)  # its row went with the notification
            return False
        now = self._clock.now()
        if now >= step.notification.expires_at:
            self._record(verdict.expired(step, step.device, now=now), now)
            return False
        return True

    async def _deliver(self, step: Step, permit: Permit) -> None:
        is_limited = self._rates.is_limited(self._provider.name)
        try:
            wait_s = await self._too_early_s(step, is_limited=is_limited)
        except BaseException:  # or a probe that was never made would keep all others back for good
            self._gate.abandon(permit)
            raise
        if wait_s:
            self._gate.abandon(permit)
            now = self._clock.now()
            self._record(verdict.put_off(step, until=now + timedelta(seconds=wait_s), now=now), now)
            return
        if is_limited and not self._still_holds(step):  # asking for the rates took its time
            self._gate.abandon(permit)
            return
        await self._call(step, permit)

    async def _too_early_s(self, step: Step, *, is_limited: bool) -> float:
        """Ask for what a call costs, a retry of the budget and one call of each rate; seconds to wait, 0 for none."""
        is_retry = step.attempt > 1
        if is_retry and (wait_s := self._retries.retry()):
            return wait_s
        if is_limited and (wait_s := await self._spend(step)):
            if is_retry:
                self._retries.give_back()
            return wait_s
        if not is_retry:
            self._retries.first()
        return 0.0

    async def _spend(self, step: Step) -> float:
        """Ask for the rates; seconds to wait, 0 for none."""
        assert step.device is not None
        try:
            wait_s = await self._rates.spend(self._provider.name, step.device, step.notification.lane)
        except EngineUnavailable as exc:
            return self._limits_outage.failed(exc)
        self._limits_outage.ended()
        return wait_s

    async def _call(self, step: Step, permit: Permit) -> None:
        device = step.device
        assert device is not None
        self._throttle.call(permit.began)
        try:
            outcome = await self._tell(step.notification, device, step.rules.locale)
        except asyncio.CancelledError:
            self._gate.abandon(permit)
            raise
        except Exception:  # the edge of a delivery: an error of ours must not take the others down
            _log.exception("delivery.broke", notification=step.notification.id, provider=self._provider.name)
            self._gate.abandon(permit)
            now, spread = self._clock.now(), self._clock.spread()
            self._record(verdict.broken(step, device, policy=self._policy, now=now, spread=spread), now)
            return
        self._conclude(step, permit, outcome)

    async def _tell(self, notification: Notification, device: Device, locale: str) -> SendOutcome:
        if self._telling is not None:
            told = await self._telling.to_device(notification, device, locale=locale)
            if not isinstance(told, Notification):
                return told
            notification = told
        return await self._provider.send(notification, device, now=self._clock.now())

    def _conclude(self, step: Step, permit: Permit, outcome: SendOutcome) -> None:
        device = step.device
        assert device is not None
        took_s = self._gate.leave(permit, outcome)
        if isinstance(outcome, Retry) and outcome.is_quota:
            self._slow_down(outcome.reason)
        if not self._guard.allows(outcome):
            outcome = verdict.kept(outcome)
        now = self._clock.now()
        done = verdict.judge(
            step,
            device,
            outcome,
            policy=self._policy,
            now=now,
            resume_at=now + timedelta(seconds=self._gate.blocked_s()) if isinstance(outcome, ConfigPause) else now,
            spread=self._clock.spread(),
        )
        if done.retry_at is not None and self._gate.is_out and self._passes_on(step):
            done = verdict.passed_on(step, device, now=now)
        self._record(done, now, took_s)

    def _slow_down(self, reason: str) -> None:
        """Halve the rate for what comes after the pause that the provider asks for."""
        now = self._clock.monotonic()
        if self._throttle.complain(now, now + self._gate.blocked_s()):
            share = round(self._throttle.share(now), 3)
            _log.warning("provider.slowed", provider=self._provider.name, reason=reason, share=share)

    def _put_all_back(self, blocked_s: float) -> None:
        now = self._clock.now()
        for step in (*self._critical, *self._others):
            if step.device is not None and self._gate.is_out and self._passes_on(step):
                self._recorder.add_send(verdict.passed_on(step, step.device, now=now))
            else:
                self._recorder.add_send(verdict.put_off(step, until=now + timedelta(seconds=blocked_s), now=now))
        self._critical.clear()
        self._others.clear()

    def _record(self, done: SendDone, now: datetime, took_s: float | None = None) -> None:
        self._recorder.add_send(done)
        self._report.ended(done, now=now, took_s=took_s)

    def _call_for_more(self) -> None:
        if self._is_awaited and self.queued <= self._most // 2:
            self._is_awaited = False
            self._on_room()
