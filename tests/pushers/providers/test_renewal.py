"""Credentials that change under way: taken over without a restart, or left aside with a word."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.file_prints import look_at
from pushers.outcome import Accepted, SendOutcome
from pushers.providers.credentials import Unusable
from pushers.providers.renewal import Carrier, credential_watch


class Provider:
    """Says with what credentials it was built; answers when it is let."""

    name = "fcm"

    def __init__(self, word: str) -> None:
        self.word = word
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.began = asyncio.Event()
        self.is_closed = False

    async def send(self, _notification: Notification, _device: Device, *, now: datetime) -> SendOutcome:
        self.began.set()
        await self.may_answer.wait()
        assert not self.is_closed, "closed under a call"
        return Accepted(self.word)

    async def close(self) -> None:
        self.is_closed = True


class Scene:
    """A carrier whose credentials stand in a file."""

    def __init__(self, folder: Path, send: Callable[[Carrier], object]) -> None:
        self.file = folder / "key"
        self.built: list[Provider] = []
        self.write("one")
        prints = look_at([self.file])
        self.carrier = Carrier("fcm:kiosk", "providers.fcm.apps[0]", self.build, [self.file], self.build(), prints=prints)

    def build(self) -> Provider:
        try:
            word = self.file.read_text()
        except OSError as exc:
            raise Unusable("private_key_file", "the file cannot be read") from exc
        if word == "bad":
            raise Unusable("private_key", "must be the PEM of a private key")
        self.built.append(Provider(word))
        return self.built[-1]

    def write(self, word: str) -> None:
        """Replace the file as deployments do: another one is moved over it."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(word)
        draft.replace(self.file)


@pytest.fixture
async def send(
    make_notification: Callable[..., Notification], make_device: Callable[..., Device], now: datetime
) -> Callable[[Carrier], asyncio.Task[SendOutcome]]:
    device = make_device(ProviderName.FCM, "token")
    return lambda carrier: asyncio.create_task(carrier.send(make_notification(title="T"), device, now=now))


@pytest.fixture
async def scene(tmp_path: Path, send: Callable[[Carrier], object]) -> Scene:
    return Scene(tmp_path, send)


Send = Callable[[Carrier], "asyncio.Task[SendOutcome]"]


async def test_new_credentials_take_over_and_the_old_are_closed(scene: Scene, send: Send) -> None:
    assert await send(scene.carrier) == Accepted("one")
    scene.write("two")
    assert await scene.carrier.renew()
    assert await send(scene.carrier) == Accepted("two")
    assert [provider.is_closed for provider in scene.built] == [True, False]


async def test_calls_under_way_end_with_the_credentials_that_they_began_with(scene: Scene, send: Send) -> None:
    first = scene.built[0]
    first.may_answer.clear()
    calls = [send(scene.carrier), send(scene.carrier)]
    await first.began.wait()
    scene.write("two")
    assert await scene.carrier.renew()
    assert await send(scene.carrier) == Accepted("two")
    assert not first.is_closed
    first.may_answer.set()
    assert await asyncio.gather(*calls) == [Accepted("one")] * 2
    assert first.is_closed


async def test_nothing_is_built_while_nothing_changes(scene: Scene) -> None:
    assert not await scene.carrier.renew()
    assert len(scene.built) == 1


@pytest.mark.parametrize("spoil", [lambda scene: scene.write("bad"), lambda scene: scene.file.unlink()])
async def test_wrong_credentials_leave_the_former_in_service_and_are_told_once(
    scene: Scene, send: Send, spoil: Callable[[Scene], None]
) -> None:
    spoil(scene)
    with capture_logs() as logs:
        assert not await scene.carrier.renew()
        assert not await scene.carrier.renew()
    assert [line["event"] for line in logs] == ["credentials.unusable"]
    assert scene.carrier.problem.startswith("providers.fcm.apps[0].private_key")
    assert await send(scene.carrier) == Accepted("one")
    scene.write("three")
    assert await scene.carrier.renew()
    assert scene.carrier.problem == ""
    assert await send(scene.carrier) == Accepted("three")


async def test_closing_closes_old_ones_too(scene: Scene, send: Send) -> None:
    first = scene.built[0]
    first.may_answer.clear()
    call = send(scene.carrier)
    await first.began.wait()
    scene.write("two")
    await scene.carrier.renew()
    await scene.carrier.close()
    assert all(provider.is_closed for provider in scene.built)
    call.cancel()
    await asyncio.wait({call})


async def test_the_watch_looks_at_all_and_tells_who_has_new_ones(scene: Scene, tmp_path: Path, send: Send) -> None:
    (tmp_path / "other").mkdir()
    other = Scene(tmp_path / "other", send)
    renewed: list[str] = []

    def broken() -> Provider:
        raise RuntimeError("an error of ours")

    ours = Carrier("apns", "providers.apns", broken, [other.file], other.built[0], prints=())
    carriers: Sequence[Carrier] = (ours, Carrier("email", "", broken, [], other.built[0], prints=()), scene.carrier)
    duty = credential_watch(carriers, renewed.append)
    scene.write("two")
    assert await duty.work() > 0
    assert renewed == ["fcm:kiosk"]
