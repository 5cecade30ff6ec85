"""Stores on files, for what is the SQLite store's own, and values of the pipeline."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.ledger import Step, StepKind
from broker.notification import ROUTES, Content, Device, Draft, Lane, Notification, Provider
from broker.store.store import Store, open_store
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heliograph.db"


@pytest.fixture
async def open_file(file: Path, clock: ManualClock) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Open the store on `file`, as one more process would."""
    stores: list[Store] = []

    async def open_one() -> Store:
        stores.append(await open_store(f"sqlite:///{file}", clock=clock, idempotency_ttl_s=3600))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
def make_draft() -> Callable[..., Draft]:
    """Make a request to notify."""

    def make(*users: str, lane: Lane = Lane.NORMAL, ttl_s: float = 600.0) -> Draft:
        return Draft(users or ("ann",), Content("Tide"), lane, ROUTES, 5.0, 2.5, ttl_s)

    return make


@pytest.fixture
def make_device(clock: ManualClock) -> Callable[..., Device]:
    """Make a device."""

    def make(name: str = "d1", user: str = "ann") -> Device:
        return Device(name, user, Provider.FCM, f"token-{name}", "android", clock.now())

    return make


@pytest.fixture
def make_step(clock: ManualClock) -> Callable[..., Step]:
    """Make a claimed step of notification `of`: a send where it has a device."""

    def make(of: str = "n1", device: Device | None = None, lease: str = "lease", attempt: int = 1) -> Step:
        expires_at = clock.now() + timedelta(seconds=600)
        notification = Notification(of, "ann", Content(), Lane.HIGH, ROUTES, 5.0, 2.5, clock.now(), expires_at)
        if device is None:
            return Step(of, StepKind.PLAN, lease, attempt, notification)
        return Step(f"{of}/{device.id}", StepKind.SEND, lease, attempt, notification, device)

    return make
