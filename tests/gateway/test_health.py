"""What speaks against sending clients to a process."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from broker.errors import EngineUnavailable
from config.clock import ManualClock, settle
from gateway.health import Probe, Readiness, health_routes
from gateway.lag import LoopLag


class Dependency:
    """Something that answers, or does not."""

    def __init__(self):
        self.error = None

    async def ask(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
async def scene():
    class Scene:
        def __init__(self):
            self.clock, self.lag = ManualClock(), LoopLag(1.0)
            self.readiness = Readiness(self.lag, self.clock, grace_s=10)
            self.engine, self.store = Dependency(), Dependency()

    made = Scene()
    probes = [Probe("engine", made.engine.ask), Probe("store", made.store.ask)]
    watching = asyncio.create_task(made.readiness.watch(probes))
    await settle()
    yield made
    watching.cancel()


async def test_all_is_well(scene):
    await scene.clock.advance(60)
    assert scene.readiness.is_ready
    assert scene.readiness.away() == []


async def test_what_is_away_for_longer_than_the_grace_speaks_against_it_until_it_is_back(scene):
    scene.engine.error = EngineUnavailable("engine")
    await scene.clock.advance(4)
    assert (scene.readiness.reasons(), scene.readiness.away()) == ([], ["engine"])
    await scene.clock.advance(10)
    assert scene.readiness.reasons() == ["engine"]
    scene.engine.error = None
    await scene.clock.advance(2)
    assert scene.readiness.is_ready


async def test_a_short_absence_does_not(scene):
    for _ in range(5):
        scene.store.error = EngineUnavailable("store")
        await scene.clock.advance(8)
        scene.store.error = None
        await scene.clock.advance(4)
        assert scene.readiness.is_ready


async def test_an_error_of_ours_decides_nothing(scene):
    scene.store.error = ValueError("a bug")
    await scene.clock.advance(60)
    assert scene.readiness.is_ready


async def test_every_reason_is_told(scene):
    scene.readiness.is_ending = True
    scene.lag.is_overloaded = True
    scene.engine.error = scene.store.error = EngineUnavailable("all")
    await scene.clock.advance(20)
    assert scene.readiness.reasons() == ["draining", "overloaded", "engine", "store"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_the_answers(scene, method):
    app = Starlette(routes=health_routes(scene.readiness))

    async def status(path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http:
            response = await http.request(method, path)
            return response.status_code, response.json() if response.content else None

    body = None if method == "HEAD" else {}
    assert await status("/health") == await status("/health/ready") == (200, body)
    scene.lag.is_overloaded = True
    assert await status("/health") == (200, body)
    assert await status("/health/ready") == (503, None if method == "HEAD" else {"reasons": ["overloaded"]})
    scene.readiness.is_ending = True
    assert await status("/health") == (200, body)


async def test_concerns_are_told_and_turn_nobody_away(scene):
    app = Starlette(routes=health_routes(scene.readiness))
    concerns = []
    scene.readiness.concerns = lambda: concerns

    async def ready():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http:
            response = await http.get("/health/ready")
            return response.status_code, response.json()

    assert await ready() == (200, {})
    concerns.append("apns is paused: InvalidProviderToken")
    assert await ready() == (200, {"concerns": ["apns is paused: InvalidProviderToken"]})
    scene.readiness.is_ending = True
    assert await ready() == (503, {"reasons": ["draining"], "concerns": ["apns is paused: InvalidProviderToken"]})
