"""Carries out decisions: asks once per batch who is connected, decides each step, and publishes what goes live."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from broker.errors import EngineUnavailable, StoreUnavailable
from broker.frequency import Frequency
from broker.ledger import PlanDone, Step
from broker.notification import Entry, Outcome, Provider, Route, State
from broker.outage import Outage
from broker.presence import UserPresence
from broker.rendering.errors import Unrenderable
from config.clock import Clock
from config.logs import get_logger
from pushers.counts import Counts
from pushers.haste import Turn, one_turn
from pushers.leases import Held
from pushers.live import LiveRoute
from pushers.policies import Policies
from pushers.retry import RetryAt, RetryPolicy, next_try
from pushers.router import Plan, Rulebook, asks_presence, plan, plan_without_live
from pushers.templates.telling import Telling

__all__ = ["Planner"]

_log = get_logger()

# Decisions in one turn of the loop, about 0.5 ms: the loop may be serving clients too, and what is urgent takes several turns.
_SLICE: Final = 25


class Planner:
    """Turns plan steps into what is to be recorded."""

    def __init__(
        self,
        live: LiveRoute,
        users: UserPresence,
        frequency: Frequency | None = None,
        *,
        policies: Policies,
        reachable: frozenset[Provider],
        policy: RetryPolicy,
        held: Held,
        is_ended: Callable[[str], bool],
        open_carriers: Callable[[], frozenset[str]] = frozenset,
        clock: Clock,
        telling: Telling | None = None,
    ) -> None:
        self._telling = telling
        self._live, self._users, self._frequency, self._policy = live, users, frequency, policy
        self._policies = policies
        self._reachable, self._open_carriers = reachable, open_carriers
        self._held, self._is_ended, self._clock = held, is_ended, clock
        self._outage = Outage("engine", clock)

    async def decide(self, steps: Sequence[Step], turn: Turn = one_turn) -> Sequence[PlanDone]:
        """Decide all steps, and publish for those that go live; what comes back has only to be written down.

        Args:
            turn: Awaited now and then, so that the loop turns.
        Raises:
            StoreUnavailable: Nothing was decided, and nothing is held any more.
        """
        now = self._clock.now()
        out = self._open_carriers()
        free, capped = (Rulebook(self._reachable, self._policies, is_capped, out) for is_capped in (False, True))
        counts = await self._counts(steps, now)
        online = await self._online(steps, now)
        decided: list[PlanDone] = []
        publishing: list[tuple[Plan, Rulebook]] = []
        for number, step in enumerate(steps, 1):
            if number % _SLICE == 0:
                await turn()
            try:
                rules = capped if counts.is_capped(step) else free
                if online is None and asks_presence(step, now=now, policies=self._policies):
                    decided.append(plan_without_live(step, now=now, rules=rules))
                    counts.add(decided[-1])
                    continue
                is_online = online is not None and step.notification.user in online
                planned = plan(step, online=is_online, now=now, rules=rules)
                counts.add(planned.done)
            except Exception:  # the edge of a decision: an error of ours must not take the others down
                decided.append(self._broken(step, now))
                continue
            if planned.publish:
                publishing.append((planned, rules))
            else:
                decided.append(planned.done)
        decided += filter(None, await asyncio.gather(*(self._publish(planned, rules, now) for planned, rules in publishing)))
        return decided

    async def _online(self, steps: Sequence[Step], now: datetime) -> frozenset[str] | None:
        """Ask who of the users that matter is connected; None where the engine does not say."""
        users = frozenset(step.notification.user for step in steps if asks_presence(step, now=now, policies=self._policies))
        asked = frozenset(user for user in users if self._live.is_open(user))
        if not asked:
            return frozenset()
        try:
            online = await self._users.online(asked)
        except EngineUnavailable as exc:
            self._outage.failed(exc)
            return None
        self._outage.ended()
        return online

    async def _counts(self, steps: Sequence[Step], now: datetime) -> Counts:
        """Ask who has been disturbed often enough."""
        if self._frequency is None:
            return Counts(self._policies)
        try:
            return await Counts.read(self._frequency, steps, self._policies, now)
        except StoreUnavailable:
            for step in steps:  # their leases run out, and they are claimed anew
                self._held.drop(step)
            raise

    async def _publish(self, planned: Plan, rules: Rulebook, now: datetime) -> PlanDone | None:
        """Make the live publication of a decision; None where the notification has ended meanwhile."""
        step = planned.done.step
        if self._is_ended(step.notification.id):
            self._held.drop(step)
            return None
        notification = step.notification
        try:
            if self._telling is not None:
                notification = await self._telling.to_user(notification, step.devices, locale=step.rules.locale)
            await self._live.publish(notification)
        except Unrenderable as exc:
            return self._refused(step, str(exc), rules, now)
        except EngineUnavailable as exc:
            self._outage.failed(exc)
            return plan_without_live(step, now=now, rules=rules)
        except Exception:  # the edge of a decision
            return self._broken(step, now)
        return planned.done

    def _refused(self, step: Step, reason: str, rules: Rulebook, now: datetime) -> PlanDone:
        """Decide again without the live route, on which it can never be told."""
        entry = Entry(Route.LIVE, Outcome.REFUSED, now, detail=reason)
        return plan(step, online=False, now=now, rules=rules, live_ended=entry).done

    def _broken(self, step: Step, now: datetime) -> PlanDone:
        """Put a decision back that failed through an error of ours; in the end, end the notification. Called while handling."""
        _log.exception("plan.broke", notification=step.notification.id)
        failures = sum(entry.route == "" and entry.outcome is Outcome.RETRY for entry in step.entries)
        decision = next_try(self._policy, failures + 1, now=now, spread=self._clock.spread())
        if isinstance(decision, RetryAt):
            return PlanDone(step, (Entry("", Outcome.RETRY, now, detail="internal error"),), next_plan_at=decision.at)
        was_taken = any(entry.outcome in (Outcome.ACCEPTED, Outcome.PUBLISHED) for entry in step.entries)
        entry = Entry("", Outcome.GAVE_UP, now, detail="internal error")
        return PlanDone(step, (entry,), finish=State.EXHAUSTED if was_taken else State.FAILED)
