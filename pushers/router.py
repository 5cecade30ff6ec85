"""Decides what comes next for a notification. Pure: values in, a plan out; the timeline is all the memory there is.

The routes stand in stages, which are walked in order; the routes of one stage are tried together. A route has been *used* once
the timeline holds a line of it, save one that only puts it off, and whatever stands before a used stage is behind us: a device
that is registered late does not turn the clock back. What a stage leaves behind decides whether to wait: after a live
publication `ack_wait_s`, after a push that a provider accepted `push_wait_s`, or what the policy says of the route. A wait
after a provider only makes sense where a way lies ahead; without one the notification ends at once, and a late ack is still
taken. Where every route was used the end is judged by what they came to, also after its time to live: expired is what still
had something to try.

A route that would disturb a user who is to be left in peace is put off, not passed: its stage, and all behind it, wait.

Where a carrier's breaker is open most notifications wait for it; what must not wait skips its devices for as long as there is
another way, and comes back to them in the end if nobody took it.
"""

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from typing import Final

import msgspec

from broker.ledger import NewSend, PlanDone, Step
from broker.notification import Device, Entry, Outcome, Provider, Route, State
from broker.routing import Quorum, RoutePolicy, StopOn
from config.settings import NotificationSettings
from pushers.addresses import masked
from pushers.policies import Peace, Policies
from pushers.quorum import devices_in_turn
from pushers.verdict import BREAKER_OPEN

__all__ = ["Plan", "Rulebook", "asks_presence", "plan", "plan_without_live"]

# A live publication that the engine did not take is tried again this often, for as long as an ack would be waited for.
LIVE_RETRY_S = 1.0

# After one of these somebody may know, and a notification without further routes has done its work.
_TOLD: Final = frozenset({Outcome.ACCEPTED, Outcome.PUBLISHED})

_DEFAULTS: Final = Policies(NotificationSettings())


class Rulebook(msgspec.Struct, frozen=True):
    """What holds for a decision beside its step: the providers that are configured, the policies, whether the user has been
    disturbed by as many of its category as they are to be, and the carriers whose breaker is open."""

    reachable: frozenset[Provider]
    policies: Policies = _DEFAULTS
    is_capped: bool = False
    open_carriers: frozenset[str] = frozenset()


class Plan(msgspec.Struct, frozen=True):
    """A decision. `publish` asks for the live publication first; `done` says that it happened and is to be recorded after."""

    done: PlanDone
    publish: bool = False


def asks_presence(step: Step, *, now: datetime, policies: Policies = _DEFAULTS) -> bool:
    """Whether the decision may turn on the user being connected."""
    notification = step.notification
    walk = _Walk(step, policies.routing(step))
    if not any(Route.LIVE in stage for stage in walk.policy.stages[walk.begun :]) and not _is_live_open(step.entries):
        return False
    return policies.starts_at(step) <= now < notification.expires_at and not notification.terms.collects


def plan(step: Step, *, online: bool, now: datetime, rules: Rulebook, live_ended: Entry | None = None) -> Plan:
    """Decide what comes next.

    Args:
        step: A plan step with devices, preferences and timeline.
        online: Whether the user holds a connection; only asked for where `asks_presence` says so.
        live_ended: What became of the live publication that was tried just now, where it came to nothing.
    """
    return _Planner(step, online, now, rules, live_ended).plan()


def plan_without_live(step: Step, *, now: datetime, rules: Rulebook) -> PlanDone:
    """Decide again, the engine having failed at presence or at the live publication: whether it was made is unknown.

    It is tried again for as long as an ack would have been waited for; then the next route has its turn. Where others are
    tried together with it they do not wait for that.
    """
    if (retrying := _Planner(step, False, now, rules).retry_live()) is not None:
        return retrying
    entry = Entry(Route.LIVE, Outcome.GAVE_UP, now, detail="the engine did not answer")
    return plan(step, online=False, now=now, rules=rules, live_ended=entry).done


class _Walk:
    """How far a notification has come along its stages."""

    def __init__(self, step: Step, policy: RoutePolicy) -> None:
        self.policy, self.begun = policy, 0
        if not step.entries:
            return
        used = {entry.route for entry in step.entries if entry.outcome is not Outcome.DEFERRED}
        if _is_live_open(step.entries):
            used.discard(Route.LIVE)
        for index, stage in enumerate(policy.stages, 1):
            if not used.isdisjoint(stage):
                self.begun = index


class _Planner:
    """One decision under way."""

    def __init__(self, step: Step, online: bool, now: datetime, rules: Rulebook, live_ended: Entry | None = None) -> None:
        self.live_ended = live_ended
        self.step, self.online, self.now, self.rules = step, online, now, rules
        self.notification = step.notification
        self.is_expired = now >= self.notification.expires_at
        self.policy = rules.policies.routing(step)
        self.entries: list[Entry] = []
        self.tells: tuple[str, Entry] | None = None
        self.publish = False

    def plan(self) -> Plan:
        if self.notification.state is not State.PENDING:
            return self._finish(self.notification.state)
        starts_at = self.rules.policies.starts_at(self.step)
        if self.now < starts_at:
            self._tell_of_habit()
            if waiting := self._ask_again(starts_at):
                return waiting
        if self.notification.terms.collects:
            return Plan(PlanDone(self.step, next_plan_at=self.now, closes=True))
        self._tell_of_escalation()
        begun = _Walk(self.step, self.policy).begun
        for index in range(max(0, begun - 1), len(self.policy.stages)):
            if (ended := self._use(index, is_begun=index < begun)) is not None:
                return ended
        outcomes = {entry.outcome for entry in (*self.step.entries, *self.entries)}
        return self._come_back(outcomes) or self._finish(_judge(outcomes))

    def retry_live(self) -> PlanDone | None:
        """Put a live publication off that the engine did not take; None once that was done for long enough."""
        if self.is_expired or not any(stage == (Route.LIVE,) for stage in self.policy.stages):
            return None
        failed_at = next((entry.at for entry in self.step.entries if entry.route == Route.LIVE), self.now)
        next_at = min(self.now + timedelta(seconds=LIVE_RETRY_S), self.notification.expires_at)
        if next_at > failed_at + timedelta(seconds=self._wait_s(Route.LIVE)):
            return None
        self._tell_of_escalation()
        self._note(Route.LIVE, Outcome.RETRY, detail="the engine did not answer")
        return self._decided(next_plan_at=next_at).done

    def _tell_of_escalation(self) -> None:
        """Say, with the first decision of an escalation, where it comes from, and there where it went."""
        escalates = self.notification.terms.escalates
        if escalates and not any(entry.outcome is Outcome.ESCALATED for entry in self.step.entries):
            self.entries.append(Entry("", Outcome.ESCALATED, self.now, detail=f"nobody saw {escalates}"))
            self.tells = escalates, Entry("", Outcome.ESCALATED, self.now, detail=f"told as {self.notification.id}")

    def _use(self, index: int, *, is_begun: bool) -> Plan | None:
        """Try what is open of a stage, then wait for what it left behind; None where the next one has its turn."""
        stage = self.policy.stages[index]
        routes = [route for route in stage if self._is_still_open(route)] if is_begun else stage
        if routes and self.is_expired:
            self._note(routes[0], Outcome.EXPIRED, detail="expired before this route")
            return self._finish(State.EXPIRED)
        sends: list[NewSend] = []
        resumes: list[datetime] = []
        for route in routes:
            tried = self._try(route)
            if isinstance(tried, Peace):
                resumes.append(tried.until)
            else:
                sends += tried
        if sends:
            return self._decided(sends=tuple(sends))
        if resumes and (waiting := self._ask_again(min(resumes))):
            return waiting
        return self._wait(index)

    def _wait(self, index: int) -> Plan | None:
        """See whether a used stage still has to be waited for, or is the last one."""
        if self.policy.stop_on is StopOn.ACCEPTED and any(entry.outcome is Outcome.ACCEPTED for entry in self.step.entries):
            return self._finish(State.EXHAUSTED)
        until = self.now
        leads_on: bool | None = None
        for route in self.policy.stages[index]:
            last = _last(self._entries_of(route), Outcome.PUBLISHED if route is Route.LIVE else Outcome.ACCEPTED)
            if last is None:
                continue
            if route is not Route.LIVE:
                leads_on = self._leads_on(index + 1) if leads_on is None else leads_on
            if route is Route.LIVE or leads_on:
                until = max(until, last.at + timedelta(seconds=self._wait_s(route)))
        return self._ask_again(until)

    def _tell_of_habit(self) -> None:
        """Write down for when its user's habit puts a notification off, which decides it for good."""
        if self.notification.terms.by_habit and not self.is_expired:
            usual = self.rules.policies.usual_moment(self.step)
            detail = f"until {usual.at:%Y-%m-%d %H:%M} UTC, {usual.reason}"
            self.entries.append(Entry("", Outcome.DEFERRED, self.now, detail=detail))

    def _ask_again(self, at: datetime) -> Plan | None:
        at = min(at, self.notification.expires_at)
        return self._decided(next_plan_at=at) if at > self.now else None

    def _try(self, route: Route) -> Sequence[NewSend] | Peace:
        """Use a route; no sends where it leads nowhere, so that the next one has its turn."""
        if not self._is_open(route):
            self._note(route, Outcome.MUTED, detail="switched off by the user's preferences")
            return ()
        if route is Route.LIVE:
            if self.live_ended is not None:
                self.entries.append(self.live_ended)
                return ()
            self.publish = self.online
            self._note(Route.LIVE, Outcome.PUBLISHED if self.online else Outcome.OFFLINE)
            return ()
        devices = self._devices_in_turn(route)
        if devices and self._is_capped(route):
            self._note(route, Outcome.CAPPED, detail="the user has been told as many of this category as they are to be")
            return ()
        peace = self._peace(route, devices)
        if peace is not None and peace.drops:
            self._note(route, Outcome.MUTED, detail=f"left out in {peace.reason}")
            return ()
        return peace or self._send(route, devices)

    def _peace(self, route: Route, devices: Iterable[Device]) -> Peace | None:
        """See whether the user is to be left in peace by a route that leads to somebody."""
        if not any(device.provider in self.rules.reachable for device in devices):
            return None
        peace = self.rules.policies.peace(self.step, route, self.now)
        if peace is not None and not peace.drops:
            before = next((entry for entry in reversed(self.step.entries) if entry.route == route), None)
            if before is None or (before.outcome, before.detail) != (Outcome.DEFERRED, peace.reason):
                self._note(route, Outcome.DEFERRED, detail=peace.reason)
        return peace

    def _send(self, route: Route, devices: Iterable[Device]) -> Sequence[NewSend]:
        sends, out = [], []
        for device in devices:
            if device.provider not in self.rules.reachable:
                self._note(route, Outcome.PAUSED, device, f"{device.provider} is not configured")
            elif self._is_out(device):
                out.append(device)
            else:
                sends.append(NewSend(device, self.now))
        for device in out:
            self._note(route, Outcome.SKIPPED, device, BREAKER_OPEN)
        if out and not sends and (instead := self._devices_in_turn(route)):
            return self._send(route, instead)  # the next most recent of a quorum
        return sends

    def _is_out(self, device: Device) -> bool:
        """Whether a device is passed over because its carrier would only let it wait (N-12)."""
        return device.carrier in self.rules.open_carriers and self.rules.policies.skips_open(self.step)

    def _come_back(self, outcomes: Set[Outcome]) -> Plan | None:
        """Send to those who were passed over after all, where nobody took it: that waits for their carriers."""
        if Outcome.SKIPPED not in outcomes or Outcome.ACCEPTED in outcomes:
            return None
        entries = (*self.step.entries, *self.entries)
        last_by_device = {entry.device_id: entry.outcome for entry in entries if entry.device_id}
        passed = [
            device
            for device in self.step.devices
            if last_by_device.get(device.id) is Outcome.SKIPPED and self._is_open(device.provider.route)
        ]
        if passed and self.is_expired:
            self._note(passed[0].provider.route, Outcome.EXPIRED, passed[0], "expired before its carrier was back")
            return self._finish(State.EXPIRED)
        return self._decided(sends=tuple(NewSend(device, self.now) for device in passed)) if passed else None

    def _is_still_open(self, route: Route) -> bool:
        """Whether a route of a stage that was begun is to be tried again, or goes on to the next device."""
        entries = [entry for entry in self.step.entries if entry.route == route]
        if not entries:
            return False
        if entries[-1].outcome is Outcome.DEFERRED:
            return True
        if route is Route.LIVE:
            return _is_live_open(entries)
        passed = any(entry.outcome in (Outcome.MUTED, Outcome.CAPPED) for entry in entries)
        return self._quorum(route) is not Quorum.ALL and not passed and bool(self._devices_in_turn(route))

    def _quorum(self, route: Route) -> Quorum:
        return self.policy.devices or Quorum.ALL if route is Route.PUSH else Quorum.ALL

    def _devices_in_turn(self, route: Route) -> Sequence[Device]:
        return devices_in_turn(list(self._devices(route)), self._entries_of(route), self._quorum(route))

    def _leads_on(self, begin: int) -> bool:
        """Whether a route of the stages from `begin` on could still reach the user, as far as can be told now."""
        return any(
            self._is_open(route)
            and not self._is_capped(route)
            and (route is Route.LIVE or any(device.provider in self.rules.reachable for device in self._devices(route)))
            for stage in self.policy.stages[begin:]
            for route in stage
        )

    def _is_open(self, route: Route) -> bool:
        return self.rules.policies.is_open(self.step, route, self.now)

    def _is_capped(self, route: Route) -> bool:
        return self.rules.is_capped and self.rules.policies.is_capped(route)

    def _devices(self, route: Route) -> Iterable[Device]:
        return (device for device in self.step.devices if device.provider.route is route)

    def _wait_s(self, route: Route) -> float:
        if (wait_s := self.policy.waits.get(route)) is not None:
            return wait_s
        if route is Route.LIVE:
            return self.notification.ack_wait_s
        return self.notification.push_wait_s if route is Route.PUSH else 0.0

    def _entries_of(self, route: Route) -> list[Entry]:
        return [entry for entry in (*self.step.entries, *self.entries) if entry.route == route]

    def _note(self, route: Route, outcome: Outcome, device: Device | None = None, detail: str = "") -> None:
        if device is None:
            self.entries.append(Entry(route, outcome, self.now, detail=detail))
        else:
            entry = Entry(route, outcome, self.now, device.provider, masked(device), device.id, detail=detail)
            self.entries.append(entry)

    def _finish(self, state: State) -> Plan:
        return self._decided(finish=state)

    def _decided(
        self, *, finish: State | None = None, sends: tuple[NewSend, ...] = (), next_plan_at: datetime | None = None
    ) -> Plan:
        is_capped = self.rules.policies.cap(self.step) is not None
        done = PlanDone(
            self.step,
            tuple(self.entries),
            finish,
            sends,
            next_plan_at,
            arrives=self.notification.terms.arrives and self.now >= self.rules.policies.starts_at(self.step),
            counts=is_capped and any(self.rules.policies.is_capped(send.device.provider.route) for send in sends),
            tells=self.tells,
        )
        return Plan(done, self.publish)


def _judge(outcomes: Set[Outcome]) -> State:
    if not outcomes.isdisjoint(_TOLD):
        return State.EXHAUSTED
    return State.EXPIRED if Outcome.EXPIRED in outcomes else State.FAILED


def _is_live_open(entries: Sequence[Entry]) -> bool:
    for entry in reversed(entries):
        if entry.route == Route.LIVE:
            return entry.outcome is Outcome.RETRY
    return False


def _last(entries: Sequence[Entry], outcome: Outcome) -> Entry | None:
    for entry in reversed(entries):
        if entry.outcome is outcome:
            return entry
    return None
