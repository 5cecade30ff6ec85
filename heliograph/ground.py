"""What every part of a process stands on: settings, clock, engine, store."""

import asyncio
from contextlib import AsyncExitStack
from typing import Protocol

import msgspec

from broker.caching.remembered import Remembered
from broker.durable_revocation import DurableRevocation
from broker.engines.engine import Engine
from broker.limits import Rate
from broker.present_overrides import PresentOverrides
from broker.rendering.renderer import Renderer
from broker.store.store import Store
from config.clock import Clock
from config.settings import Settings
from config.tracing import NO_TRACING, Tracing
from gateway.health import Probe
from gateway.tls import ServerTls
from heliograph.ending import Ending

__all__ = ["Ground", "Part", "make_renderer", "probes_of"]

_PROBE_RATE = Rate(1000.0, 1000)


class Ground(msgspec.Struct, frozen=True):
    """Handed to each part.

    Attributes:
        process_id: Names this process towards the others, unlike any before it.
        resources: What is opened here is closed, in reverse, when every part has ended.
        overrides: What operators say otherwise for now.
        tls: What the ports of this process show; None without TLS.
        remembered: What is remembered of the store; None where everybody asks it.
    """

    settings: Settings
    clock: Clock
    engine: Engine
    store: Store
    process_id: str
    resources: AsyncExitStack
    overrides: PresentOverrides
    tls: ServerTls | None = None
    tracing: Tracing = NO_TRACING
    remembered: Remembered | None = None

    @property
    def revocation(self) -> DurableRevocation:
        """Who is not let in: told by the engine, and kept by the store."""
        return DurableRevocation(self.engine.revocation, self.store.revocations)


class Part(Protocol):
    """Something a process does. Made before the engine starts, run when it has; `started` is set when it does."""

    started: asyncio.Event

    async def run(self) -> None:
        """Do it until `stop` is called; one call per object."""

    async def stop(self, ending: Ending) -> None:
        """Finish what is under way; when it returns, the engine and the store are needed no more."""


def make_renderer(ground: Ground) -> Renderer:
    """Make what renders templates; each part of a process has its own, for each renders other things."""
    default_locale = ground.settings.notifications.templates.default_locale
    return Renderer(ground.store.templates, ground.clock, default_locale=default_locale)


def probes_of(ground: Ground) -> list[Probe]:
    """Make the questions that tell whether engine and store are there."""
    return [
        Probe("engine", lambda: ground.engine.limits.acquire(f"probe:{ground.process_id}", _PROBE_RATE)),
        Probe("store", lambda: ground.store.preferences.of_user("")),
    ]
