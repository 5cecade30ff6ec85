"""What speaks against sending clients to a process."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from broker.errors import EngineUnavailable
from broker.last_look import NO_LOOK
from broker.present_overrides import PresentOverrides
from config.clock import ManualClock, settle
from gateway.health import DependencyHealth, Probe, Readiness, health_routes
from gateway.health_detail import CarrierHealth, HealthDetail, health_detail_route
from gateway.lag import LoopLag
from gateway.vitals import read_vitals


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


class TestDependencies:
    """What is told of each, by its last look."""

    async def test_each_is_told_with_its_last_look(self, scene):
        await scene.clock.advance(2)
        engine, store = scene.readiness.dependencies()
        at = scene.clock.now().timestamp()
        assert (engine.name, engine.state, engine.checked_at, engine.last_error) == ("engine", "well", at, "")
        assert store.latency_ms == 0.0

    async def test_the_last_error_is_told_and_stays_when_it_is_well_again(self, scene):
        began_at = scene.clock.now().timestamp()
        scene.store.error = EngineUnavailable("the database does not answer")
        await scene.clock.advance(6)
        _, store = scene.readiness.dependencies()
        assert (store.state, store.away_since) == ("away", began_at + 2)
        assert (store.last_error, store.last_error_at) == ("the database does not answer", began_at + 6)
        scene.store.error = None
        await scene.clock.advance(2)
        _, store = scene.readiness.dependencies()
        assert (store.state, store.away_since, store.last_error_at) == ("well", None, began_at + 6)
        assert store.last_error == "the database does not answer"

    async def test_how_long_it_took_is_told(self, scene):
        async def slow():
            scene.clock.move(0.25)

        scene.engine.ask = slow
        readiness = Readiness(scene.lag, scene.clock, grace_s=10)
        watching = asyncio.create_task(readiness.watch([Probe("engine", slow)]))
        await settle()
        (engine,) = readiness.dependencies()
        assert engine.latency_ms == 250.0
        watching.cancel()

    async def test_before_the_first_look_nothing_is_claimed(self):
        asked = asyncio.Event()
        readiness = Readiness(LoopLag(1.0), ManualClock(), grace_s=10)
        watching = asyncio.create_task(readiness.watch([Probe("engine", asked.wait)]))
        await settle()
        (engine,) = readiness.dependencies()
        assert (engine.state, engine.latency_ms) == ("unknown", None)
        watching.cancel()


class TestDetail:
    """The state and the reasons, over an operators' port: nobody is asked for a key."""

    @pytest.fixture
    async def ask(self, scene, tmp_path):
        class Nothing:
            async def all(self):
                return ()

        present = PresentOverrides(Nothing(), scene.clock)
        detail = HealthDetail(scene.readiness, present, scene.clock, version="1", store_file=tmp_path / "store.db")
        scene.detail, scene.present = detail, present
        app = Starlette(routes=[health_detail_route(detail)])

        async def ask():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http:
                response = await http.get("/health/detail")
                assert response.status_code == 200
                return response.json()

        return ask

    async def test_all_is_well(self, scene, ask):
        await scene.clock.advance(61)
        told = await ask()
        assert (told["state"], told["reasons"], told["concerns"], told["uptime_s"]) == ("ready", [], [], 61)
        assert [one["state"] for one in told["dependencies"]] == ["well", "well"]

    async def test_what_is_away_degrades_it_before_the_grace_is_over(self, scene, ask):
        scene.store.error = EngineUnavailable("away")
        await scene.clock.advance(4)
        told = await ask()
        assert (told["state"], told["reasons"]) == ("degraded", [])
        await scene.clock.advance(20)
        told = await ask()
        assert (told["state"], told["reasons"]) == ("degraded", ["store"])

    async def test_before_everything_was_looked_at_it_is_starting(self, scene, ask):
        readiness = Readiness(scene.lag, scene.clock, grace_s=10)
        detail = HealthDetail(readiness, scene.present, scene.clock, version="1")
        answered = asyncio.Event()
        watching = asyncio.create_task(readiness.watch([Probe("engine", answered.wait)]))
        await settle()
        assert (await detail.tell()).state == "starting"
        answered.set()
        await settle()
        assert (await detail.tell()).state == "ready"
        watching.cancel()

    async def test_what_it_leans_on_beside_these_degrades_it_and_turns_nobody_away(self, scene, ask):
        now = scene.clock.now()
        looks = {"fine": NO_LOOK.then("", 0.004, now), "hurt": NO_LOOK.then("answered 503", 0.5, now)}
        states = {"fine": "closed", "hurt": "closed", "never": "closed"}
        scene.detail.leans_on.append(
            lambda: [DependencyHealth.of(name, looks.get(name, NO_LOOK), breaker=state) for name, state in states.items()]
        )
        told = await ask()
        at = now.timestamp()
        assert told["state"] == "ready"
        assert told["dependencies"][2:] == [
            {"name": "fine", "state": "well", "latency_ms": 4.0, "checked_at": at, "breaker": "closed"},
            {
                "name": "hurt",
                "state": "well",
                "latency_ms": 500.0,
                "checked_at": at,
                "last_error": "answered 503",
                "last_error_at": at,
                "breaker": "closed",
            },
            {"name": "never", "state": "unknown", "breaker": "closed"},
        ]
        states["hurt"] = "open"
        told = await ask()
        assert (told["state"], told["reasons"]) == ("degraded", [])
        hurt = told["dependencies"][3]
        assert (hurt["state"], hurt["away_since"], scene.readiness.is_ready) == ("away", at, True)
        scene.readiness.is_ending = True
        assert (await ask())["state"] == "draining"

    async def test_keys_that_are_held_are_told_with_their_age_and_certificates_with_their_end(self, scene, ask):
        look = NO_LOOK.then("answered 500", 0.1, scene.clock.now())
        scene.detail.leans_on.append(lambda: [DependencyHealth.of("issuer:login", look, age_s=3600.0)])
        scene.detail.certificates = lambda: [("http.tls", 1.5)]
        told = await ask()
        issuer = told["dependencies"][2]
        assert (issuer["state"], issuer["age_s"], issuer["last_error"]) == ("away", 3600.0, "answered 500")
        assert told["certificates"] == [{"name": "http.tls", "ends_at": 1.5}]

    async def test_an_end_is_told_before_everything_else(self, scene, ask):
        scene.lag.is_overloaded = scene.readiness.is_ending = True
        told = await ask()
        assert (told["state"], told["reasons"]) == ("draining", ["draining", "overloaded"])

    async def test_room_and_carriers_are_told(self, scene, ask, tmp_path):
        scene.detail.carriers = lambda: [
            CarrierHealth("apns", "open", 3, paused=True, complaint="InvalidProviderToken"),
            CarrierHealth("fcm", "closed", 1, rate_share=0.5),
        ]
        told = await ask()
        assert told["carriers"] == [
            {"name": "apns", "breaker": "open", "under_way": 3, "paused": True, "complaint": "InvalidProviderToken"},
            {"name": "fcm", "breaker": "closed", "under_way": 1, "rate_share": 0.5},
        ]
        process = told["process"]
        assert 0 < process["descriptors_used"] <= process["descriptor_limit"]
        assert process["memory_bytes"] > 1_000_000
        assert (process["disk"], 0 < process["disk_free_bytes"] < process["disk_total_bytes"]) == (str(tmp_path), True)


def test_a_store_that_is_no_file_has_no_disk(tmp_path):
    assert (read_vitals().disk, read_vitals().disk_free_bytes) == ("", None)
    assert read_vitals(tmp_path / "gone" / "store.db").disk_free_bytes is None
