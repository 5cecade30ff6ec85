"""Decides what comes next for a notification. Pure: values in, a plan out; the timeline is all the memory there is.

The routes are walked in the notification's order. A route has been *used* once the timeline holds a line of it, and whatever
stands before a used route is behind us: a device that is registered late does not turn the clock back. What a route leaves
behind decides whether to wait: after a live publication `ack_wait_s`, after a push that a provider accepted `push_wait_s`.
A wait after push only makes sense where a way lies ahead; without one the notification ends at once, and a late ack is still
taken. Where every route was used the end is judged by what they came to, also after its time to live: expired is what still
had something to try.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from broker.ledger import NewSend, PlanDone, Step
from broker.notification import Device, Entry, Outcome, Provider, Route, State
from broker.preferences import is_enabled
from pushers.addresses import masked

__all__ = ["Plan", "asks_presence", "plan", "plan_without_live"]

# A live publication that the engine did not take is tried again this often, for as long as an ack would be waited for.
LIVE_RETRY_S = 1.0


class Plan(msgspec.Struct, frozen=True):
    """A decision. `publish` asks for the live publication first; `done` says that it happened and is to be recorded after."""

    done: PlanDone
    publish: bool = False


def asks_presence(step: Step, *, now: datetime) -> bool:
    """Whether the decision may turn on the user being connected."""
    routes = step.notification.routes
    return Route.LIVE in routes and routes.index(Route.LIVE) >= _next_index(step) and now < step.notification.expires_at


def plan(step: Step, *, online: bool, now: datetime, reachable: frozenset[Provider]) -> Plan:
    """Decide what comes next.

    Args:
        step: A plan step with devices, preferences and timeline.
        online: Whether the user holds a connection; only asked for where `asks_presence` says so.
        reachable: The providers that are configured.
    """
    return _Planner(step, online, now, reachable).plan()


def plan_without_live(step: Step, *, now: datetime, reachable: frozenset[Provider]) -> PlanDone:
    """Decide again, the engine having failed at presence or at the live publication: whether it was made is unknown.

    It is tried again for as long as an ack would have been waited for; then the next route has its turn.
    """
    notification = step.notification
    failed_at = next((entry.at for entry in step.entries if entry.route == Route.LIVE), now)
    next_at = min(now + timedelta(seconds=LIVE_RETRY_S), notification.expires_at)
    if next_at <= failed_at + timedelta(seconds=notification.ack_wait_s) and now < notification.expires_at:
        entry = Entry(Route.LIVE, Outcome.RETRY, now, detail="the engine did not answer")
        return PlanDone(step, (entry,), next_plan_at=next_at)
    entry = Entry(Route.LIVE, Outcome.GAVE_UP, now, detail="the engine did not answer")
    after = msgspec.structs.replace(step, entries=(*step.entries, entry))
    done = plan(after, online=False, now=now, reachable=reachable).done
    return msgspec.structs.replace(done, step=step, entries=(entry, *done.entries))


class _Planner:
    """One decision under way."""

    def __init__(self, step: Step, online: bool, now: datetime, reachable: frozenset[Provider]) -> None:
        self.step, self.online, self.now, self.reachable = step, online, now, reachable
        self.notification = step.notification
        self.is_expired = now >= self.notification.expires_at
        self.entries: list[Entry] = []
        self.publish = False

    def plan(self) -> Plan:
        if self.notification.state is not State.PENDING:
            return self._finish(self.notification.state)
        first = _next_index(self.step)
        routes = self.notification.routes
        for index in range(max(0, first - 1), len(routes)):
            route = routes[index]
            is_used = index < first
            ended = self._wait(route, routes[index + 1 :]) if is_used else self._try(route)
            if ended is not None:
                return ended
        return self._finish(self._judge())

    def _wait(self, route: Route, ahead: Sequence[Route]) -> Plan | None:
        """See whether the last used route still has to be waited for."""
        entries = [entry for entry in self.step.entries if entry.route == route]
        until = self.now
        if route is Route.LIVE:
            if published := _last(entries, Outcome.PUBLISHED):
                until = published.at + timedelta(seconds=self.notification.ack_wait_s)
        elif route is Route.PUSH and (accepted := _last(entries, Outcome.ACCEPTED)) and self._leads_on(ahead):
            until = accepted.at + timedelta(seconds=self.notification.push_wait_s)
        return self._ask_again(until)

    def _ask_again(self, at: datetime) -> Plan | None:
        at = min(at, self.notification.expires_at)
        return self._decided(next_plan_at=at) if at > self.now else None

    def _try(self, route: Route) -> Plan | None:
        """Use a route; None where it leads nowhere, so that the next one has its turn."""
        if self.is_expired:
            self._note(route, Outcome.EXPIRED, detail="expired before this route")
            return self._finish(State.EXPIRED)
        if not self._is_open(route):
            self._note(route, Outcome.MUTED, detail="switched off by the user's preferences")
            return None
        return self._try_live() if route is Route.LIVE else self._try_devices(route)

    def _try_live(self) -> Plan | None:
        if not self.online:
            self._note(Route.LIVE, Outcome.OFFLINE)
            return None
        self._note(Route.LIVE, Outcome.PUBLISHED)
        self.publish = True
        return self._ask_again(self.now + timedelta(seconds=self.notification.ack_wait_s))

    def _try_devices(self, route: Route) -> Plan | None:
        devices = list(self._devices(route))
        for device in devices:
            if device.provider not in self.reachable:
                self._note(route, Outcome.PAUSED, device, f"{device.provider} is not configured")
        sends = tuple(NewSend(device, self.now) for device in devices if device.provider in self.reachable)
        return self._decided(sends=sends) if sends else None

    def _judge(self) -> State:
        outcomes = {entry.outcome for entry in (*self.step.entries, *self.entries)}
        if outcomes & {Outcome.ACCEPTED, Outcome.PUBLISHED}:
            return State.EXHAUSTED
        return State.EXPIRED if Outcome.EXPIRED in outcomes else State.FAILED

    def _leads_on(self, routes: Iterable[Route]) -> bool:
        """Whether one of these routes could still reach the user, as far as can be told now."""
        return any(
            self._is_open(route)
            and (route is Route.LIVE or any(device.provider in self.reachable for device in self._devices(route)))
            for route in routes
        )

    def _is_open(self, route: Route) -> bool:
        return not self.step.preferences or is_enabled(self.step.preferences, self.notification.content.category, route)

    def _devices(self, route: Route) -> Iterable[Device]:
        return (device for device in self.step.devices if device.provider.route is route)

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
        return Plan(PlanDone(self.step, tuple(self.entries), finish, sends, next_plan_at), self.publish)


def _next_index(step: Step) -> int:
    """Tell the place of the first route that was not used; a live publication that is to be tried again was not."""
    routes = step.notification.routes
    used = {entry.route for entry in step.entries}
    index = next((index + 1 for index in reversed(range(len(routes))) if routes[index] in used), 0)
    if index and routes[index - 1] is Route.LIVE and _is_live_open(step):
        return index - 1
    return index


def _is_live_open(step: Step) -> bool:
    last = next((entry for entry in reversed(step.entries) if entry.route == Route.LIVE), None)
    return last is not None and last.outcome is Outcome.RETRY


def _last(entries: Sequence[Entry], outcome: Outcome) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.outcome is outcome), None)
