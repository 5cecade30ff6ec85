"""What the pipeline counts, for Prometheus. Labels name providers, outcomes, lanes and states, never people or addresses."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from broker.breaker import BreakerState
from broker.ledger import PlanDone, SendDone
from broker.notification import Lane, Outcome
from pushers.deletion_guard import DeletionGuard
from pushers.series import Counts, Durations

__all__ = ["Metrics"]

_BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)


class Metrics:
    """The series of one registry, which can be registered at another one as a whole."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._deliveries = Counts(
            "heliograph_deliveries",
            "Attempts that ended, by provider (live for the socket), outcome and lane.",
            ("provider", "outcome", "lane"),
            registry=registry,
        )
        self._finished = Counts(
            "heliograph_notifications_finished",
            "Notifications that the pipeline brought to an end, by state and lane.",
            ("state", "lane"),
            registry=registry,
        )
        self._accepted = Durations(
            "heliograph_accepted_seconds",
            "From storing a notification to a provider's acceptance.",
            ("provider", "lane"),
            bounds_s=_BOUNDS_S,
            registry=registry,
        )
        self._calls = Durations(
            "heliograph_provider_call_seconds",
            "Duration of one call to a provider.",
            ("provider",),
            bounds_s=_BOUNDS_S[:11],
            registry=registry,
        )
        self._campaign_users = Counter(
            "heliograph_campaign_users",
            "Users whom campaigns came to, by result: expanded into a notification, or skipped.",
            ("result",),
            registry=registry,
        )
        self._make_gauges(registry)

    def _make_gauges(self, registry: CollectorRegistry) -> None:
        self._breakers = Gauge("heliograph_breaker_state", "0 closed, 1 half open, 2 open.", ("provider",), registry=registry)
        self._paused = Gauge(
            "heliograph_provider_paused", "1 while its settings are held to be wrong.", ("provider",), registry=registry
        )
        self._shares = Gauge(
            "heliograph_rate_share",
            "At which share of its rate a provider is called; below 1 after it has said that a quota is exceeded.",
            ("provider",),
            registry=registry,
        )
        self._under_way = Gauge(
            "heliograph_deliveries_under_way", "Calls to a provider under way.", ("provider",), registry=registry
        )
        self._guards = Gauge(
            "heliograph_deletion_guard",
            "1 while devices are kept because a provider calls too many gone.",
            ("provider",),
            registry=registry,
        )
        self._waiting = Gauge(
            "heliograph_lane_waiting",
            "Steps that are due and that nobody works on, up to 100,000.",
            ("lane",),
            registry=registry,
        )
        self._age = Gauge(
            "heliograph_lane_age_seconds", "How long the oldest of them has been due.", ("lane",), registry=registry
        )

    def deliveries_by(self, label: Literal["outcome", "provider"]) -> Mapping[str, int]:
        """Add up the attempts that ended, by one of their labels."""
        return self._deliveries.by(label)

    def watch(self, provider: str, state: Callable[[], BreakerState], under_way: Callable[[], int]) -> None:
        """Say where a provider's gauges are read, whenever they are asked for."""
        self._breakers.labels(provider).set_function(lambda: _BREAKER_VALUES[state()])
        self._under_way.labels(provider).set_function(under_way)

    def watch_guard(self, guard: DeletionGuard) -> None:
        """Say where the gauge of a guard is read."""
        self._guards.labels(guard.carrier).set_function(lambda: guard.is_keeping)

    def watch_pause(self, provider: str, complaint: Callable[[], str]) -> None:
        """Say where it is read whether a provider is left alone because of its settings."""
        self._paused.labels(provider).set_function(lambda: bool(complaint()))

    def watch_share(self, provider: str, share: Callable[[], float]) -> None:
        """Say where it is read how far a provider is slowed down."""
        self._shares.labels(provider).set_function(share)

    def campaigned(self, result: str, users: int) -> None:
        """Count users of campaigns."""
        self._campaign_users.labels(result).inc(users)

    def waits(self, lane: Lane, count: int, age_s: float) -> None:
        """Tell what waits in a lane, and how long the oldest has."""
        self._waiting.labels(lane.name.lower()).set(count)
        self._age.labels(lane.name.lower()).set(age_s)

    def planned(self, done: PlanDone) -> None:
        """Count a decision: its lines, and an end."""
        lane = done.step.notification.lane
        for entry in done.entries:
            self._deliveries.count(entry.provider or entry.route, entry.outcome, lane)
        if done.finish is not None:
            self._finished.count(done.finish, lane)

    def sent(self, done: SendDone, took_s: float | None, now: datetime) -> None:
        """Count an attempt that ended, and its call if one was made."""
        entry = done.entry
        if entry is None:
            return
        notification = done.step.notification
        provider, lane = entry.provider, notification.lane
        self._deliveries.count(provider, entry.outcome, lane)
        if took_s is not None:
            self._calls.count(took_s, provider)
        if entry.outcome is Outcome.ACCEPTED:
            self._accepted.count((now - notification.created_at).total_seconds(), provider, lane)
