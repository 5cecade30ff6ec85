"""`/health/detail`: how a process is, for the eyes of an operator; balancers ask `/health/ready`.

It names what the process leans on, with what came of the last look at it, and tells nothing of users, keys or messages. Beside
clients it asks for an API key; on the operators' port it is open, as metrics are.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.present_overrides import PresentOverrides
from config.clock import Clock
from gateway.api.override_methods import OverrideItem, override_item
from gateway.health import DependencyHealth, Readiness
from gateway.vitals import Vitals, read_vitals

__all__ = ["CarrierHealth", "CertificateHealth", "HealthDetail", "health_detail_route"]

_PATH: Final = "/health/detail"
_JSON: Final = "application/json"


class CarrierHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a carrier of notifications is.

    Attributes:
        breaker: `closed`, `half_open` or `open`.
        paused: An operator has it left alone.
        complaint: What it said against the settings.
        latency_ms, called_at, last_error, last_error_at: What came of the last call, moments in Unix seconds.
        rate_share: At which share of its rate it is called, while it is slowed down because it said that a quota is exceeded.
    """

    name: str
    breaker: str
    under_way: int
    paused: bool = False
    complaint: str = ""
    latency_ms: float | None = None
    called_at: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    rate_share: float = 1.0


class CertificateHealth(msgspec.Struct, frozen=True):
    """A certificate that this process shows to others, and when it ends, in Unix seconds."""

    name: str
    ends_at: float


class Detail(msgspec.Struct, frozen=True):
    """The answer; `state` is `starting`, `ready`, `draining` or `degraded`."""

    state: str
    version: str
    uptime_s: int
    reasons: list[str]
    concerns: list[str]
    maintenance: str
    dependencies: Sequence[DependencyHealth]
    carriers: Sequence[CarrierHealth]
    certificates: Sequence[CertificateHealth]
    process: Vitals
    overrides: Sequence[OverrideItem]


class HealthDetail:
    """Puts the answer together.

    Attributes:
        carriers: Tells of carriers, where there is a pipeline.
        leans_on: Tell of what the process leans on beside what readiness looks at; these make it degraded, never unready.
        certificates: Tells when those that are shown to others end; may block for a moment.
    """

    def __init__(
        self, readiness: Readiness, present: PresentOverrides, clock: Clock, *, version: str, store_file: Path | None = None
    ) -> None:
        self._readiness, self._present, self._clock = readiness, present, clock
        self._version, self._store_file = version, store_file
        self._began_at = clock.monotonic()
        self.carriers: Callable[[], Sequence[CarrierHealth]] = list
        self.leans_on: list[Callable[[], Sequence[DependencyHealth]]] = []
        self.certificates: Callable[[], Iterable[tuple[str, float]]] = tuple

    async def tell(self) -> Detail:
        """Look."""
        readiness, overrides = self._readiness, self._present.now
        reasons, away = readiness.reasons(), readiness.away()
        others = [one for tell in self.leans_on for one in tell()]
        is_degraded = bool(reasons or away or any(one.state == "away" for one in others))
        return Detail(
            state=self._state(is_degraded=is_degraded),
            version=self._version,
            uptime_s=int(self._clock.monotonic() - self._began_at),
            reasons=reasons,
            concerns=readiness.concerns(),
            maintenance=overrides.maintenance,
            dependencies=[*readiness.dependencies(), *others],
            carriers=self.carriers(),
            certificates=await asyncio.to_thread(self._look_at_certificates),
            process=await asyncio.to_thread(read_vitals, self._store_file),
            overrides=[override_item(one) for one in overrides.overrides],
        )

    def _state(self, *, is_degraded: bool) -> str:
        if self._readiness.is_ending:
            return "draining"
        if is_degraded:
            return "degraded"
        return "starting" if self._readiness.is_starting else "ready"

    def _look_at_certificates(self) -> list[CertificateHealth]:
        return [CertificateHealth(name, ends_at) for name, ends_at in self.certificates()]


def health_detail_route(detail: HealthDetail, may_ask: Callable[[Request], bool] = lambda _request: True) -> Route:
    """Make the page; whoever may not ask gets 401. The status is 200 whatever it tells."""

    async def tell(request: Request) -> Response:
        if not may_ask(request):
            return Response(status_code=401)
        return Response(msgspec.json.encode(await detail.tell()), media_type=_JSON)

    return Route(_PATH, tell)
