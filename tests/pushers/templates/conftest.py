"""Templates on a real store, and what a pipeline tells of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from broker.notification import Content, TemplateUse
from broker.rendering.renderer import Renderer
from broker.store.store import Store, open_store
from broker.templates import TemplateKey, TemplateText
from broker.unsubscribe import UnsubscribeLinks
from config.clock import ManualClock
from pushers.templates.telling import Telling


@pytest.fixture
async def store(store_file: Path, clock: ManualClock) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{store_file}", clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def renderer(store: Store, clock: ManualClock) -> Renderer:
    return Renderer(store.templates, clock, default_locale="en")


@pytest.fixture
def links() -> UnsubscribeLinks:
    return UnsubscribeLinks("https://x.test", b"s" * 32)


@pytest.fixture
def telling(renderer: Renderer, links: UnsubscribeLinks) -> Telling:
    return Telling(renderer, links)


@pytest.fixture
def put(store: Store) -> Callable[..., Awaitable[int]]:
    """Store a text of the template `t`."""

    async def stored(locale: str = "en", route: str = "", **fields: str) -> int:
        return await store.templates.put(TemplateKey("t", locale, route), TemplateText(**fields))

    return stored


@pytest.fixture
def using() -> Callable[..., Content]:
    """Make a content that names the template `t` at a version."""

    def make(version: int, **variables: object) -> Content:
        raw = msgspec.Raw(msgspec.json.encode(variables))
        return Content(category="news", link="https://x.test/own", template=TemplateUse("t", version, raw))

    return make
