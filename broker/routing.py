"""Which ways a notification goes: the routes, and what may be said about their order, their waits and their end.

A policy is said by the notification, by its user, by its category and by the settings, in this order; each says as much or as
little as it likes, and the first who says a thing decides it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from broker.errors import BadInput

__all__ = [
    "DEFAULT_ROUTES",
    "LONGEST_WAIT_S",
    "ROUTES",
    "Quorum",
    "Route",
    "RoutePolicy",
    "StopOn",
    "check_policy",
    "in_turn",
]

LONGEST_WAIT_S: Final = 30 * 86400.0


class Route(StrEnum):
    """A way to reach a user."""

    LIVE = "live"
    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"


ROUTES: Final = tuple(Route)
# What a request that names no routes means; the others cost money or reach machines, so they are asked for by name.
DEFAULT_ROUTES: Final = (Route.LIVE, Route.PUSH, Route.EMAIL)

Stages = tuple[tuple[Route, ...], ...]


class Quorum(StrEnum):
    """Which of a user's push devices are tried; after one that did not take it the next most recent has its turn."""

    ALL = "all"
    MOST_RECENT = "most_recent"
    ONE_PER_PLATFORM = "one_per_platform"


class StopOn(StrEnum):
    """What ends a walk along the routes; an ack always does."""

    ACK = "ack"
    ACCEPTED = "accepted"  # a provider took it


class RoutePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody says about routes: what is empty or None is left to the next one to say.

    `stages` are walked one after another, the routes of one are tried together; `waits` are seconds that a route is given
    before the next stage has its turn.
    """

    stages: Stages = ()
    waits: Mapping[Route, float] = {}
    stop_on: StopOn | None = None
    devices: Quorum | None = None

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes, in order."""
        return tuple(route for stage in self.stages for route in stage)

    def over(self, other: "RoutePolicy") -> "RoutePolicy":
        """Let another say what this one does not."""
        if other == _NOTHING:
            return self
        return RoutePolicy(
            self.stages or other.stages,
            {**other.waits, **self.waits},
            self.stop_on or other.stop_on,
            self.devices or other.devices,
        )


_NOTHING: Final = RoutePolicy()


def in_turn(routes: Iterable[Route]) -> Stages:
    """Make stages of routes that are tried one after another."""
    return tuple((route,) for route in routes)


def check_policy(
    routes: Sequence[str | Sequence[str]] | None,
    waits: Mapping[str, float],
    stop_on: str,
    devices: str,
    *,
    field: str = "",
) -> RoutePolicy:
    """Read a policy as requests and settings write it.

    Args:
        routes: Each a route, or a list of routes that are tried together; None says nothing.
        field: What the names of fields in errors begin with, such as "routing.".
    Raises:
        BadInput: Naming the field and the rule: it is no policy, or contradicts itself.
    """
    stages = () if routes is None else _stages(routes, f"{field}routes")
    policy = RoutePolicy(
        stages,
        {route: _wait(route, wait, stages, f"{field}waits") for route, wait in _named(waits, f"{field}waits")},
        _member(StopOn, stop_on, f"{field}stop_on"),
        _member(Quorum, devices, f"{field}devices"),
    )
    if stages and policy.stop_on is StopOn.ACCEPTED and set(policy.routes) == {Route.LIVE}:
        raise BadInput(f"{field}stop_on", "cannot be accepted where routes name live alone: no provider accepts it")
    if stages and policy.devices is not None and Route.PUSH not in policy.routes:
        raise BadInput(f"{field}devices", "must not be given where routes do not name push")
    return policy


def _stages(routes: Sequence[str | Sequence[str]], field: str) -> Stages:
    if not routes:
        raise BadInput(field, "must hold at least one route")
    stages = []
    for index, given in enumerate(routes):
        stage = (given,) if isinstance(given, str) else tuple(given)
        if not stage:
            raise BadInput(f"{field}[{index}]", "must hold at least one route")
        for route in stage:
            if route not in ROUTES:
                raise BadInput(f"{field}[{index}]", f"must be one of {', '.join(ROUTES)}")
        stages.append(tuple(Route(route) for route in stage))
    named = [route for stage in stages for route in stage]
    if len(set(named)) != len(named):
        raise BadInput(field, "must not name a route twice")
    return tuple(stages)


def _named(waits: Mapping[str, float], field: str) -> Iterable[tuple[Route, float]]:
    for name, wait in waits.items():
        if name not in ROUTES:
            raise BadInput(f"{field}.{name}", f"must be one of {', '.join(ROUTES)}")
        yield Route(name), wait


def _wait(route: Route, wait_s: float, stages: Stages, field: str) -> float:
    if stages and not any(route in stage for stage in stages):
        raise BadInput(f"{field}.{route}", "must be a route that routes name")
    if not (math.isfinite(wait_s) and 0 <= wait_s <= LONGEST_WAIT_S):
        raise BadInput(f"{field}.{route}", f"must be from 0 to {LONGEST_WAIT_S:.0f} seconds")
    return wait_s


_Member = TypeVar("_Member", StopOn, Quorum)


def _member(kind: type[_Member], value: str, field: str) -> _Member | None:
    if not value:
        return None
    try:
        return kind(value)
    except ValueError:
        raise BadInput(field, f"must be one of {', '.join(kind)}") from None
