"""A node that serves every method and its description: a store in a file, a namespace, a client of alice's."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.ledger import PlanDone
from broker.notification import Entry, Lane, Outcome, Provider, State
from broker.rendering.renderer import Renderer
from broker.store.store import Store, open_store
from config.operation_settings import CostSettings, HabitSettings
from config.settings import NotificationSettings
from gateway.api.endpoint import ApiEndpoint
from gateway.app import GatewayApp
from gateway.issuing.methods import issuing_methods
from gateway.notify.campaigns import CampaignService, campaign_methods
from gateway.notify.confirmations import ConfirmationService, confirmation_methods
from gateway.notify.experiments import experiment_methods
from gateway.notify.inbox import InboxService, inbox_methods
from gateway.notify.methods import notification_methods
from gateway.notify.operations import operation_methods
from gateway.notify.service import NotificationService
from gateway.notify.templates import TemplateService, template_methods
from gateway.notify.topics import TopicService, topic_methods
from gateway.notify.wording import Wording
from gateway.openapi.routes import openapi_routes
from gateway.rule_service import RuleService
from pushers.templates.showing import show

CHANNELS = {
    "namespaces": [
        {
            "name": "chat",
            "allow_subscribe_for_client": True,
            "presence": True,
            "history_size": 100,
            "history_ttl": "1h",
        }
    ]
}


class Described:
    """The HTTP side: methods and their document."""

    def __init__(self, world: Any, api: Any, store: Store) -> None:
        self.world, self.methods, self._store = world, api.calls.methods, store
        endpoint = ApiEndpoint(world.settings.http_api, api.calls)
        self.app = GatewayApp(world.settings, world.node, endpoint, routes=openapi_routes(self.methods, version="1.2.3"))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://node")
        self._key = world.settings.http_api.keys[0].get_secret_value()

    async def call(self, method: str, request: Any, **headers: str) -> httpx.Response:
        return await self.http.post(f"/api/{method}", json=request, headers={"X-API-Key": self._key, **headers})

    async def deliver(self, provider: Provider, after_s: float = 2.0) -> None:
        """Have a provider take what is due, and nothing follow it."""
        clock, ledger = self.world.clock, self._store.ledger
        steps = await ledger.claim("w", dict.fromkeys(Lane, 10), lease_until=clock.now() + timedelta(seconds=30))
        clock.move(after_s)
        taken = Entry(provider, Outcome.ACCEPTED, clock.now(), provider)
        await ledger.record([PlanDone(step, (taken,), State.EXHAUSTED) for step in steps], [])

    async def document(self) -> Any:
        return json.loads((await self.http.get("/api/openapi.json")).content)


@pytest.fixture
async def described(world: Callable[..., Any], api: Callable[..., Any], store_file: Path) -> AsyncIterator[Described]:
    made = world(
        channel=CHANNELS, node={"name": "gateway-1"}, client={"subscribe_to_user_personal_channel": {"enabled": False}}
    )
    store = await open_store(f"sqlite:///{store_file}", clock=made.clock)
    settings = NotificationSettings(habits=HabitSettings(enabled=True))
    renderer = Renderer(store.templates, made.clock, default_locale="en")
    wording = Wording(renderer, store.devices, preferences=store.preferences, experiments=store.experiments)
    service = NotificationService(store.ledger, store.devices, store.preferences, settings, wording=wording)
    client = made.client()
    client.connect(token=made.token("alice", jti="token-1", iat=1767225000), name="web", version="2.1.0")
    client.send({"id": 2, "subscribe": {"channel": "chat:lobby"}})
    methods = [
        *notification_methods(service),
        *confirmation_methods(ConfirmationService(store.ledger)),
        *issuing_methods(None),
        *inbox_methods(InboxService(store.inbox)),
        *template_methods(TemplateService(store.templates, renderer, show)),
        *experiment_methods(store.experiments),
        *topic_methods(TopicService(store.topics)),
        *campaign_methods(CampaignService(store.campaigns, settings)),
        *operation_methods(store, made.clock, CostSettings(currency="EUR", sms=0.06)),
    ]
    names: set[str] = set()
    methods += RuleService(made.node, store, made.engine.control, made.clock).methods(names)
    opened = api(made, methods)
    names.update(opened.calls.methods)
    yield Described(made, opened, store)
    await store.close()
