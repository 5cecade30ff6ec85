"""How fast providers may be called: each with all its apps, each app, for each user and each device, by all processes together.

All that a call is limited by is asked as one decision: where one refuses, none is spent (N-20). A send that comes too early is
not held here but put off to a moment of its own, as far behind the one before as the rate allows. Lanes do not share that
queue: a critical send takes the next call there is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from broker.limits import Claim, Limits, Rate
from broker.notification import Device, Lane
from config.clock import Clock
from config.provider_settings import ProviderLimits, ProviderTotals
from config.rate_windows import parse_rate_window
from pushers.throttle import Throttle
from pushers.turns import Turns

__all__ = ["Rates"]


_UNLIMITED: Final = ProviderLimits()


class _Windows(msgspec.Struct, frozen=True):
    """Rates that each user, or each device, has; every one under a name that changes with it, so that it begins anew."""

    rates: tuple[tuple[str, Rate], ...]

    @classmethod
    def of(cls, kind: str, carrier: str, texts: Sequence[str]) -> "_Windows":
        return cls(tuple((f"{kind}:{carrier}:{text}", Rate(*parse_rate_window(text))) for text in texts))

    def claims(self, whose: str) -> Iterator[Claim]:
        return (Claim(f"{name}:{whose}", rate) for name, rate in self.rates)


class _Rule(msgspec.Struct, frozen=True):
    """What the calls of a carrier are limited by, in the order in which it is asked."""

    group: str
    total: tuple[Claim, ...]
    app: Claim | None
    user: _Windows
    device: _Windows
    spares_critical: bool

    @classmethod
    def of(cls, carrier: str, limits: ProviderLimits, overriding_per_s: float = 0.0) -> "_Rule":
        provider = carrier.partition(":")[0]
        total: tuple[Claim, ...] = ()
        if isinstance(limits, ProviderTotals) and limits.total_rate_per_s > 0:
            total = (Claim("provider", Rate(limits.total_rate_per_s, limits.total_burst)),)
        app = None
        if overriding_per_s:
            # A name of its own: what was counted under another rate says nothing about this one.
            rate = Rate(overriding_per_s, math.ceil(overriding_per_s))
            app = Claim(f"app:{carrier}:{overriding_per_s:g}", rate)
        elif limits.rate_per_s > 0:
            app = Claim(f"app:{carrier}", Rate(limits.rate_per_s, limits.burst))
        return cls(
            provider,
            total,
            app,
            _Windows.of("user", carrier, limits.rate_per_user),
            _Windows.of("device", carrier, limits.rate_per_device),
            limits.critical_passes_rate_per_user,
        )

    @property
    def is_any(self) -> bool:
        return bool(self.total or self.app or self.user.rates or self.device.rates)

    def claims(self, device: Device, lane: Lane, slowed: Claim | None) -> Sequence[Claim]:
        app = slowed or self.app
        user = () if self.spares_critical and lane is Lane.CRITICAL else self.user.claims(device.user)
        return [*self.total, *((app,) if app else ()), *user, *self.device.claims(device.id)]


class Rates:
    """The rates of all carriers; one without any is never asked about."""

    def __init__(self, limits: Limits, provider_limits: Mapping[str, ProviderLimits], clock: Clock) -> None:
        self._limits, self._clock, self._settings = limits, clock, provider_limits
        self._turns = Turns()
        self._throttles: dict[str, Throttle] = {}
        self.override({})

    def throttle(self, carrier: str) -> Throttle:
        """Give what slows a carrier down, to be told of its calls and of its complaints."""
        return self._throttles.setdefault(carrier, Throttle())

    def share(self, carrier: str) -> float:
        """Tell at which share of its rate a carrier is called; 1.0 where it is not slowed down."""
        throttle = self._throttles.get(carrier)
        return 1.0 if throttle is None else throttle.share(self._clock.monotonic())

    def override(self, per_s: Mapping[str, float]) -> None:
        """Have some carriers go by other rates than `rate_per_s`, until told again; a second's worth may come at once."""
        settings = dict.fromkeys(per_s, _UNLIMITED) | dict(self._settings)
        rules = {carrier: _Rule.of(carrier, limits, per_s.get(carrier, 0.0)) for carrier, limits in settings.items()}
        self._rules = {carrier: rule for carrier, rule in rules.items() if rule.is_any}

    def per_s(self, carrier: str) -> float:
        """Tell what a carrier goes by now, an override or its setting, or what is left of it while it is slowed down; 0 for no
        rate."""
        rule = self._rules.get(carrier) or _Rule.of(carrier, _UNLIMITED)
        app = self._slowed(carrier, rule.app) or rule.app
        return min((claim.rate.per_s for claim in (app, *rule.total) if claim is not None), default=0.0)

    def is_limited(self, carrier: str) -> bool:
        """Whether the carrier has a rate at all, now."""
        return carrier in self._rules or self.share(carrier) < 1.0

    async def spend(self, carrier: str, device: Device, lane: Lane) -> float:
        """Spend one call.

        Returns:
            0.0 when it may be made now; else in how many seconds to ask again, and nothing was spent.
        Raises:
            EngineUnavailable: The rates are not known now.
        """
        rule = self._rules.get(carrier) or _Rule.of(carrier, _UNLIMITED)
        claims = rule.claims(device, lane, self._slowed(carrier, rule.app))
        if not claims:
            return 0.0
        waits_s = await self._limits.acquire_all(rule.group, claims)
        if not any(waits_s):
            return 0.0
        return self._sent_away_s(rule.group, lane, [pair for pair in zip(claims, waits_s, strict=True) if pair[1]])

    def _slowed(self, carrier: str, app: Claim | None) -> Claim | None:
        """Make what stands in the place of a carrier's own rate while it is slowed down; None where it is not.

        It keeps its name: what was spent at the full rate counts, and processes that differ in how slow they are share it.
        """
        share = self.share(carrier)
        if share == 1.0:
            return None
        if app is None:
            per_s = self._throttles[carrier].measured_per_s * share
            return Claim(f"app:{carrier}:slowed", Rate(per_s, math.ceil(per_s)))
        return Claim(app.key, Rate(app.rate.per_s * share, math.ceil(app.rate.burst * share)))

    def _sent_away_s(self, group: str, lane: Lane, refused: Sequence[tuple[Claim, float]]) -> float:
        """Find the first moment that is free in the queues of all that refused."""
        now = self._clock.monotonic()
        queues = [((f"{group}:{claim.key}", int(lane)), 1 / claim.rate.per_s) for claim, _ in refused]
        at = max(now + max(wait_s for _, wait_s in refused), *(self._turns.free_at(key) for key, _ in queues))
        for key, each_s in queues:
            self._turns.take(key, at, each_s, now)
        return at - now
