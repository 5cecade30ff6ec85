"""Whether a load balancer should send clients to this process: readiness, with the reasons against it.

Liveness is another question: who answers lives, also while it drains. A process is not ready once its end has begun, while
its loop is overloaded, and while something that it stands on has not answered for longer than the grace. Clients that are
connected stay so in the last two cases, and nobody is well served by a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.errors import Unavailable
from broker.last_look import NO_LOOK, LastLook
from config.clock import Clock
from config.logs import get_logger
from gateway.lag import LoopLag

__all__ = ["DependencyHealth", "Probe", "Readiness", "health_routes"]

_log = get_logger()

_INTERVAL_S: Final = 2.0
_TIMEOUT_S: Final = 2.0
_ANY_METHOD: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Probe(msgspec.Struct, frozen=True):
    """Something that the process stands on, and a cheap question to it that fails with `Unavailable`."""

    name: str
    ask: Callable[[], Awaitable[Any]]


class DependencyHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of looking at a dependency; moments in Unix seconds.

    Attributes:
        state: `well` or `away`, by the last look; `unknown` before the first.
        breaker: Of a backend: `closed`, `half_open` or `open`; `away` while not closed, for nobody asks it for health alone.
        age_s: How old what is held of it is; only where it goes on to be used.
        latency_ms: How long the last look took.
        away_since: Only while it is away.
        last_error: What was wrong the last time that something was, also when it is well again.
    """

    name: str
    state: str
    latency_ms: float | None = None
    checked_at: float | None = None
    away_since: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    breaker: str = ""
    age_s: float | None = None

    @classmethod
    def of(cls, name: str, look: LastLook, *, breaker: str = "", age_s: float | None = None) -> "DependencyHealth":
        """Make it of what came of the calls that were made anyway."""
        is_away = bool(look.failing_since) if not breaker else breaker != "closed"
        return cls(
            name,
            "unknown" if look.at is None else "away" if is_away else "well",
            look.latency_ms,
            look.at,
            look.failing_since if is_away else None,
            look.error,
            look.error_at,
            breaker,
            None if age_s is None else round(age_s, 3),
        )


class Readiness:
    """Keeps asking the probes while `watch` runs."""

    def __init__(self, lag: LoopLag, clock: Clock, *, grace_s: float) -> None:
        self.is_ending = False
        self.is_refusing = False
        """Whether an operator has new connections refused here, and not on all nodes alike."""
        self.concerns: Callable[[], list[str]] = list
        """What an operator should know of though clients are welcome, such as a provider that refuses our credentials."""
        self._lag, self._clock, self._grace_s = lag, clock, grace_s
        self._away_since: dict[str, float] = {}
        self._seen: dict[str, LastLook] = {}

    @property
    def is_ready(self) -> bool:
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Tell what speaks against sending clients here: `draining`, `refusing` where an operator wants them elsewhere,
        `overloaded`, or what is away (`engine`, `store`)."""
        reasons = ["draining"] if self.is_ending else []
        if self.is_refusing:
            reasons.append("refusing")
        if self._lag.is_overloaded:
            reasons.append("overloaded")
        since = self._clock.monotonic() - self._grace_s
        return reasons + [name for name, away_since in self._away_since.items() if away_since <= since]

    def away(self) -> list[str]:
        """Tell what did not answer when it was asked last, grace or not."""
        return list(self._away_since)

    def dependencies(self) -> list[DependencyHealth]:
        """Tell what came of the last look at each."""
        return [DependencyHealth.of(name, look) for name, look in self._seen.items()]

    @property
    def is_starting(self) -> bool:
        """Whether there is something that was not looked at yet."""
        return any(look.at is None for look in self._seen.values())

    async def watch(self, probes: Sequence[Probe]) -> None:
        """Ask every probe again and again, until cancelled."""
        for probe in probes:
            self._seen.setdefault(probe.name, NO_LOOK)
        while True:
            for probe in probes:
                began_at = self._clock.monotonic()
                error = await _error_of(probe)
                self._note(probe.name, error, self._clock.monotonic() - began_at)
            await self._clock.sleep(_INTERVAL_S)

    def _note(self, name: str, error: str, took_s: float) -> None:
        self._seen[name] = self._seen[name].then(error, took_s, self._clock.now())
        if not error:
            if self._away_since.pop(name, None) is not None:
                _log.info("dependency.back", dependency=name)
        elif name not in self._away_since:
            self._away_since[name] = self._clock.monotonic()
            _log.warning("dependency.away", dependency=name)


def health_routes(readiness: Readiness) -> list[Route]:
    """Make `/health` (this process lives) and `/health/ready` (send clients here; else the reasons)."""

    async def health(_request: Request) -> Response:
        return JSONResponse({})

    async def ready(_request: Request) -> Response:
        reasons, concerns = readiness.reasons(), readiness.concerns()
        told = {name: lines for name, lines in (("reasons", reasons), ("concerns", concerns)) if lines}
        return JSONResponse(told, status_code=503 if reasons else 200)

    return [Route("/health", health, methods=_ANY_METHOD), Route("/health/ready", ready, methods=_ANY_METHOD)]


async def _error_of(probe: Probe) -> str:
    """Ask a probe; tells what is wrong, empty for nothing."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await probe.ask()
    except Unavailable as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except Exception:  # the edge of a probe: what it could not say decides nothing
        _log.exception("probe.failed", dependency=probe.name)
    return ""
