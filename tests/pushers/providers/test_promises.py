"""What the transport promises, each shown against a simulator with scheduled faults.

No hang and a bounded time for every call, streams up to the peer's limit (also 1, also changing), GOAWAY, REFUSED_STREAM and
RST_STREAM told apart by whether the call was certainly not carried out, and no call that harms another.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.clock import SystemClock
from config.provider_settings import ProvidersSettings
from loadtest.simulators.faults import (
    Action,
    CloseConnection,
    Delay,
    GoAway,
    LimitStreams,
    ResetStream,
    Respond,
    Rule,
    Silence,
)
from loadtest.simulators.suite import Simulators
from pushers.outcome import Accepted, Ambiguous, Retry, SendOutcome
from pushers.provider import Provider
from pushers.providers.configured import build_providers

NAMES = ("apns", "fcm", "webpush")
REFUSED_STREAM, CANCEL = 7, 8


class Scene:
    """One provider in front of its simulator."""

    def __init__(self, name: str, simulators: Simulators, provider: Provider, make: Callable[[], Notification]) -> None:
        self.name, self.simulators, self.provider, self._make = name, simulators, provider, make
        self.device: Device

    def fault(self, *actions: Action, nth: int = 1, **more: bool) -> None:
        self.simulators.faults.set([Rule(action, provider=self.name, nth=nth, **more) for action in actions])

    async def send(self) -> SendOutcome:
        return await self.provider.send(self._make(), self.device, now=SystemClock().now())

    async def burst(self, count: int) -> Counter[str]:
        return Counter(type(outcome).__name__ for outcome in await asyncio.gather(*(self.send() for _ in range(count))))

    def received(self) -> Counter[str]:
        return Counter(item.notification_id for item in self.simulators.outbox.items())


Open = Callable[[str, str], Awaitable[Scene]]


@pytest.fixture
async def open_scene(
    simulators_folder: Path, make_notification: Callable[..., Notification], make_device: Callable[..., Device]
) -> AsyncIterator[Open]:
    """Open a provider's scene, connected already, by its name and the longest time for a call."""
    opened = contextlib.AsyncExitStack()

    def make() -> Notification:
        now = SystemClock().now()
        made = make_notification(title="T")
        return msgspec.structs.replace(
            made, id=str(SystemClock().new_id()), created_at=now, expires_at=now + timedelta(hours=1)
        )

    async def open_(name: str, timeout: str) -> Scene:
        simulators = await opened.enter_async_context(Simulators(simulators_folder))
        sections = {name: {**simulators.providers[name], "timeout": timeout}}
        (provider,) = build_providers(ProvidersSettings.model_validate(sections), clock=SystemClock())
        opened.push_async_callback(provider.close)
        scene = Scene(name, simulators, provider, make)
        tokens = {"apns": "a1" * 32, "fcm": "token:1"}
        token = tokens.get(name) or msgspec.json.encode(simulators.mint_subscription()).decode()
        scene.device = make_device(ProviderName(name), token)
        assert isinstance(await scene.send(), Accepted)  # the access token is fetched with it
        simulators.outbox.clear()
        return scene

    yield open_
    await opened.aclose()


@pytest.fixture(params=NAMES)
async def scene(request: pytest.FixtureRequest, open_scene: Open) -> Scene:
    return await open_scene(request.param, "10s")


@pytest.fixture(params=NAMES)
async def impatient(request: pytest.FixtureRequest, open_scene: Open) -> Scene:
    """A scene whose calls may take no longer than it takes to tell that nobody answers."""
    return await open_scene(request.param, "1s")


async def test_silence_is_bounded_and_harms_no_other(impatient: Scene) -> None:  # R12
    impatient.fault(Silence())
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):  # a hang ends the test; nothing is measured
        silent = loop.create_task(impatient.send())
        others = await impatient.burst(20)
        assert Counter([type(await silent).__name__]) + others == Counter(Accepted=20, Ambiguous=1)


async def test_an_answer_after_the_deadline_is_nobodys(impatient: Scene) -> None:
    impatient.fault(Delay(1.5))
    assert isinstance(await impatient.send(), Ambiguous)
    assert await impatient.burst(20) == Counter(Accepted=20)
    assert len(impatient.received()) == 21


async def test_refused_stream_was_certainly_not_carried_out(scene: Scene) -> None:
    scene.fault(ResetStream(REFUSED_STREAM))
    assert await scene.burst(20) == Counter(Accepted=20)
    assert set(scene.received().values()) == {1}


@pytest.mark.parametrize("taken", [False, True])
async def test_reset_stream_is_unknown_and_alone(scene: Scene, taken: bool) -> None:
    scene.fault(ResetStream(CANCEL), taken=taken)
    assert await scene.burst(20) == Counter(Accepted=19, Ambiguous=1)
    assert len(scene.received()) == 19 + taken


async def test_goaway_loses_and_doubles_nothing(scene: Scene) -> None:
    for debug in ("", '{"reason":"Shutdown"}'):
        scene.fault(GoAway(debug=debug), nth=5)
        assert await scene.burst(20) == Counter(Accepted=20)
    assert len(scene.received()) == 40
    assert set(scene.received().values()) == {1}


async def test_lost_connection_is_unknown_for_what_was_under_way_and_for_nothing_else(scene: Scene) -> None:
    scene.fault(CloseConnection(), nth=10)
    ended = await scene.burst(20)
    assert ended["Ambiguous"] >= 1
    assert ended["Accepted"] + ended["Ambiguous"] + ended["Retry"] == 20
    assert set(scene.received().values()) == {1}
    assert await scene.burst(5) == Counter(Accepted=5)


async def test_stream_limit_changes_under_way(scene: Scene) -> None:
    for limit in (1, 3, 100, 1):
        scene.fault(LimitStreams(limit))
        assert await scene.burst(30) == Counter(Accepted=30)
    assert len(scene.received()) == 120
    assert set(scene.received().values()) == {1}


async def test_cancelled_calls_take_no_other_along(scene: Scene) -> None:
    calls = [asyncio.create_task(scene.send()) for _ in range(10)]
    calls[0].cancel()
    await asyncio.sleep(0)
    calls[9].cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert Counter(type(outcome).__name__ for outcome in ended) == Counter(Accepted=8, CancelledError=2)
    assert await scene.burst(5) == Counter(Accepted=5)


async def test_a_thousand_error_bodies_do_not_stall(scene: Scene) -> None:
    scene.simulators.faults.set([Rule(Respond(500, body="x" * 60), provider=scene.name)])
    for _ in range(10):
        assert await scene.burst(100) == Counter(Retry=100)
    scene.simulators.faults.clear()
    assert isinstance(await scene.send(), Accepted)


async def test_the_providers_word_is_obeyed_to_the_second(scene: Scene) -> None:  # R11
    for status, after in ((429, "7"), (503, "61")):
        scene.fault(Respond(status, headers={"retry-after": after}))
        outcome = await scene.send()
        assert isinstance(outcome, Retry)
        assert (outcome.after_s, outcome.is_failure) == (float(after), False)
