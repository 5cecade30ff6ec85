"""A desk where templates are kept and notified by: a real store, the real methods, and a clock that stands still."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.rendering.renderer import Renderer
from broker.store.store import open_store
from config.clock import ManualClock
from config.settings import NotificationSettings
from gateway.notify.experiments import experiment_methods
from gateway.notify.inbox import InboxService, inbox_methods
from gateway.notify.methods import notification_methods
from gateway.notify.service import NotificationService
from gateway.notify.templates import TemplateService, template_methods
from gateway.notify.wording import Wording
from pushers.templates.showing import show


class Desk:
    """The API of a world that has templates."""

    def __init__(self, api: Any, store: Any, clock: ManualClock) -> None:
        self.api, self.store, self.clock = api, store, clock

    async def put(self, name: str = "t", locale: str = "", route: str = "", **fields: str) -> int:
        """Keep a text; gives the version."""
        return (await self.api.result("template_put", name=name, locale=locale, route=route, **fields))["version"]

    async def refused(self, method: str, **request: Any) -> str:
        """What a call is refused with, by error 107."""
        code, message = await self.api.error(method, **request)
        assert code == 107, message
        return str(message).removeprefix("bad request: ")


@pytest.fixture
async def desk(world: Callable[..., Any], api: Callable[..., Any], store_file: Path) -> AsyncIterator[Desk]:
    made = world()
    store = await open_store(f"sqlite:///{store_file}", clock=made.clock)
    renderer = Renderer(store.templates, made.clock, default_locale="en")
    wording = Wording(renderer, store.devices, preferences=store.preferences, experiments=store.experiments)
    service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings(), wording=wording)
    methods = [
        *notification_methods(service),
        *inbox_methods(InboxService(store.inbox, wording=wording)),
        *template_methods(TemplateService(store.templates, renderer, show)),
        *experiment_methods(store.experiments),
    ]
    yield Desk(api(made, methods), store, made.clock)
    await store.close()
