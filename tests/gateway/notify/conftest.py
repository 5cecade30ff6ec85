"""The notification methods on a real store, over the API and over RPC."""

import asyncio
import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.store.store import open_store
from config.audience_settings import TopicSettings
from config.operation_settings import HabitSettings
from config.settings import NotificationSettings
from gateway.notify.campaigns import CampaignService, campaign_methods
from gateway.notify.confirmations import ConfirmationService, confirmation_methods, confirmation_rpc_methods
from gateway.notify.inbox import InboxService, inbox_methods, inbox_rpc_methods
from gateway.notify.methods import notification_methods
from gateway.notify.rpc import rpc_methods
from gateway.notify.service import NotificationService
from gateway.notify.topics import TopicService, topic_methods, topic_rpc_methods


class Desk:
    """Where notifications are asked for: a world whose API and RPC have the notification methods."""

    def __init__(self, world: Any, api: Any, store: Any, told: list[str], watching: list[str]) -> None:
        self.world, self.api, self.store = world, api, store
        # Whose inboxes were said to have changed.
        self.told = told
        # Who asked for an inbox over RPC, and is to be told of its changes.
        self.watching = watching

    async def notify(self, user: str = "42", **request: Any) -> str:
        """Notify one user; gives the id."""
        (item,) = (await self.api.result("notify", user=user, **{"title": "Hello", **request}))["notifications"]
        assert item["user"] == user
        return item["id"]

    async def state(self, id: str) -> str:
        return (await self.api.result("notification_status", id=id))["notification"]["state"]

    async def rpc(self, client: Any, method: str, **data: Any) -> dict[str, Any]:
        """Call a method over RPC; gives its reply."""
        return await self.rpc_bytes(client, method, json.dumps(data).encode())

    async def rpc_bytes(self, client: Any, method: str, data: bytes) -> dict[str, Any]:
        member = b',"data":' + data if data else b""
        client.read()
        client.session.receive(b'{"id":9,"rpc":{"method":"%b"%b}}' % (method.encode(), member))
        async with asyncio.timeout(30):
            while not (replies := client.read()):  # noqa: ASYNC110 (the node has no event for a test)
                await asyncio.sleep(0)
        (reply,) = replies
        assert reply.pop("id") == 9
        return reply


@pytest.fixture
async def desk(world, api, store_file):
    """A desk on a SQLite file of its own; its clock is the world's."""
    from config.clock import ManualClock

    clock = ManualClock()
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    told: list[str] = []
    settings = NotificationSettings(topics=TopicSettings(client_patterns=("news:*",)), habits=HabitSettings(enabled=True))
    campaigns, topics = CampaignService(store.campaigns, settings), TopicService(store.topics)
    service = NotificationService(
        store.ledger, store.devices, store.preferences, settings, inbox_changed=told.extend, campaigns=campaigns
    )
    confirmations, inbox = ConfirmationService(store.ledger, told.extend), InboxService(store.inbox, told.extend)
    watching: list[str] = []

    async def watch(user: str) -> None:
        watching.append(user)

    made = world(
        rpc_methods={
            **rpc_methods(service),
            **confirmation_rpc_methods(confirmations),
            **inbox_rpc_methods(inbox, watch),
            **topic_rpc_methods(topics, settings),
        }
    )
    made.clock = clock
    methods = [
        *notification_methods(service),
        *confirmation_methods(confirmations),
        *inbox_methods(inbox),
        *topic_methods(topics),
        *campaign_methods(campaigns),
    ]
    yield Desk(made, api(made, methods), store, told, watching)
    await store.close()


@pytest.fixture(scope="session")
def subscription() -> dict[str, Any]:
    """A browser's push subscription."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": _base64url(point), "auth": _base64url(b"a" * 16)}
    return {"endpoint": "https://push.example/send/abcdef-0123456789", "keys": keys}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
