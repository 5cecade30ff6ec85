"""API methods `notification_statistics` and `notification_clicks`."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import UNSET, UnsetType

from broker.errors import BadInput
from broker.histograms import ERROR, Histogram, quantile_s
from broker.notification import LANE_BY_PRIORITY, Outcome, Provider, State
from broker.outcome_classes import CLASSES, FAILURES
from broker.routing import Route
from broker.statistics import Dimension, Group, Statistics, StatisticsQuery
from broker.tallies import MARKS, message_count
from broker.tracking import Tracking
from config.clock import Clock
from config.operation_settings import CostSettings
from gateway.api.method import Method
from gateway.notify.statistics_messages import (
    ClickedLinkItem,
    DurationItem,
    FailedItem,
    NotificationClicksRequest,
    NotificationClicksResult,
    StatisticsGroupItem,
    StatisticsRequest,
    StatisticsResult,
)
from gateway.notify.timing import moment_of

__all__ = ["statistics_methods"]

_HOUR: Final = timedelta(hours=1)
_USUAL: Final = timedelta(days=1)
_LONGEST: Final = timedelta(days=400)
_FILTERS: Final = tuple(one for one in Dimension if one not in (Dimension.HOUR, Dimension.DAY))
# What can be said where not everything can.
_VALUES: Final[Mapping[Dimension, tuple[str, ...]]] = {
    Dimension.PRIORITY: tuple(LANE_BY_PRIORITY),
    Dimension.ROUTE: tuple(Route),
    Dimension.PROVIDER: tuple(Provider),
}
# Told apart only within another.
_WITHIN: Final[Mapping[Dimension, Dimension]] = {
    Dimension.PROVIDER: Dimension.ROUTE,
    Dimension.VARIANT: Dimension.EXPERIMENT,
}


class _Statistics:
    def __init__(self, statistics: Statistics, tracking: Tracking, clock: Clock, costs: CostSettings) -> None:
        self._statistics, self._tracking, self._clock = statistics, tracking, clock
        self._prices, self._currency = costs.prices, costs.currency

    async def statistics(self, request: StatisticsRequest) -> StatisticsResult:
        """Count what became of notifications: how many were told, seen, clicked, how deliveries failed, how long it took."""
        since, until = self._hours(request)
        by = _by(request)
        answer = await self._statistics.read(StatisticsQuery(since, until, by, _filters(request)))
        return StatisticsResult(
            int(since.timestamp()),
            int(until.timestamp()),
            [_item(group, by, self._prices) for group in answer.groups],
            round(answer.counted_at.timestamp(), 3),
            answer.is_complete,
            ERROR,
            self._currency if self._prices else UNSET,
        )

    async def clicks(self, request: NotificationClicksRequest) -> NotificationClicksResult:
        """List the links of a notification's mails that were clicked, where clicks are tracked."""
        clicked = await self._tracking.clicks_of(request.id)
        return NotificationClicksResult(
            [ClickedLinkItem(one.link, one.target, round(one.first_at.timestamp(), 3), one.clicks) for one in clicked]
        )

    def _hours(self, request: StatisticsRequest) -> tuple[datetime, datetime]:
        """Read which whole hours are meant."""
        now = self._clock.now()
        until = _floor(now) + _HOUR
        if not isinstance(request.until, UnsetType):
            until = min(until, _ceiling(moment_of(request.until, "to")))
        since = _floor(now - _USUAL if isinstance(request.since, UnsetType) else moment_of(request.since, "from"))
        if since >= until:
            raise BadInput("from", "must lie before `to`, and not in the future")
        if until - since > _LONGEST:
            raise BadInput("from", f"must be at most {_LONGEST.days} days before `to`")
        return since, until


def statistics_methods(statistics: Statistics, tracking: Tracking, clock: Clock, costs: CostSettings) -> list[Method]:
    """Make the methods."""
    desk = _Statistics(statistics, tracking, clock, costs)
    return [
        Method("notification_statistics", StatisticsRequest, desk.statistics, is_strict=True, group="Statistics"),
        Method("notification_clicks", NotificationClicksRequest, desk.clicks, is_strict=True, group="Statistics"),
    ]


def _by(request: StatisticsRequest) -> tuple[Dimension, ...]:
    known = {one.value: one for one in Dimension}
    by: list[Dimension] = []
    for index, name in enumerate(request.by):
        if name not in known:
            raise BadInput(f"by[{index}]", f"must be one of {', '.join(known)}")
        if known[name] in by:
            raise BadInput(f"by[{index}]", "must not be given twice")
        by.append(known[name])
    for inner, outer in _WITHIN.items():
        # Where the outer one is a filter, all of a group have the same.
        if inner in by and outer not in by and getattr(request, outer) is UNSET:
            by.insert(by.index(inner), outer)
    return tuple(by)


def _filters(request: StatisticsRequest) -> dict[Dimension, str]:
    filters: dict[Dimension, str] = {}
    for dimension in _FILTERS:
        value: str | UnsetType = getattr(request, dimension)
        if isinstance(value, UnsetType):
            continue
        values = _VALUES.get(dimension, (value,))
        if value not in values:
            raise BadInput(dimension, f"must be one of {', '.join(values)}")
        filters[dimension] = value
    return filters


def _item(group: Group, by: tuple[Dimension, ...], prices: Mapping[str, float]) -> StatisticsGroupItem:
    counts = group.tally.counts
    outcomes = {one.value: counts[name] for one in Outcome if (name := f"outcome:{one.value}") in counts}
    failed = {
        of_class.value: sum(count for outcome, count in outcomes.items() if CLASSES[Outcome(outcome)] is of_class)
        for of_class in FAILURES
    }
    numbers: dict[str, Any] = {name: counts.get(name, 0) for name in ("accepted", "sent", "delivered", *MARKS)}
    names: dict[str, Any] = {dimension.value: value for dimension, value in zip(by, group.key, strict=True)}
    return StatisticsGroupItem(
        **names,
        **numbers,
        acknowledged=counts.get(f"state:{State.ACKNOWLEDGED.value}", 0),
        failed=FailedItem(**failed),
        outcomes=outcomes,
        states={state.value: counts[name] for state in State if (name := f"state:{state.value}") in counts},
        time_to_sent=_duration(group.tally.to_sent),
        time_to_seen=_duration(group.tally.to_seen),
        cost=_cost(counts, prices),
    )


def _cost(counts: Mapping[str, int], prices: Mapping[str, float]) -> float | UnsetType:
    """Add up what messages cost, to a millionth; unset where none has a price, which is not the same as costing nothing."""
    costs = [counts[name] * price for provider, price in prices.items() if (name := message_count(provider)) in counts]
    return round(math.fsum(costs), 6) if costs else UNSET


def _duration(histogram: Histogram) -> DurationItem | UnsetType:
    p50, p95, p99 = (quantile_s(histogram, share) for share in (0.5, 0.95, 0.99))
    if p50 is None or p95 is None or p99 is None:
        return UNSET
    return DurationItem(sum(histogram.values()), round(p50, 6), round(p95, 6), round(p99, 6))


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + _HOUR
