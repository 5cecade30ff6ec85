"""The operator's page over a node on the memory engine and a store in a file, asked as browsers ask."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.audit import AuditFilter, SealedRecord
from broker.durable_revocation import DurableRevocation
from broker.present_overrides import PresentOverrides
from broker.store.store import Store, open_store
from gateway.admin.attempts import Attempts
from gateway.admin.figures import FigureDesk
from gateway.admin.live import LiveFigures
from gateway.admin.passwords import Cost, Passwords, hash_password
from gateway.admin.place import Surroundings
from gateway.admin.routes import AdminPage
from gateway.admin.sessions import ISSUER, USER_PREFIX, Sessions
from gateway.api.endpoint import ApiEndpoint
from gateway.app import GatewayApp
from gateway.auth.issuers import Issuer
from gateway.auth.keys import Keyring
from gateway.health_detail import HealthDetail
from gateway.notify.operations import operation_methods

PASSWORD = "correct horse battery"
CHEAP = Cost(2, 1, 1)
HASH = hash_password(PASSWORD, CHEAP)
SECRET = "a secret of the page that is longer than thirty-two bytes"
ORIGIN = "http://127.0.0.1:8000"
USERS = ({"name": "ann", "password_hash": HASH, "role": "operator"}, {"name": "rob", "password_hash": HASH, "role": "read"})


class Site:
    """A page, what it stands on, and a browser of somebody."""

    def __init__(self, world: Any, calls: Any, store: Store, *, https: bool) -> None:
        self.world, self.store, self.calls = world, store, calls
        node, clock, settings = world.node, world.clock, world.settings.admin
        self.revocation = DurableRevocation(world.engine.revocation, store.revocations)
        self.sessions = Sessions(settings, self.revocation, world.engine.control, clock)
        own = Issuer("admin", Keyring.of_keys({"HS256": (self.sessions.live_key,)}), ISSUER, user_prefix=USER_PREFIX)
        node.tokens.connections.issuers.add(own)
        detail = HealthDetail(node.readiness, PresentOverrides(store.overrides, clock), clock, version="test")
        self.desk = FigureDesk(node, world.engine.control, store.backlog, store.pipeline_reports, calls.tally, detail, clock)
        self.live = LiveFigures(self.desk, self.sessions, node.hub, clock)
        page = AdminPage(
            Surroundings(settings.origin),
            self.sessions,
            Passwords(settings.users),
            Attempts(node, None, clock),
            calls,
            self.desk,
            store.audit,
            clock,
        )
        app = GatewayApp(world.settings, node, ApiEndpoint(world.settings.http_api, calls), routes=page.routes)
        base = settings.origin or (ORIGIN.replace("http", "https") if https else ORIGIN)
        self.origin = base
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("192.0.2.7", 4711)), base_url=base)
        self.csrf = ""

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Post as the page does; a header is overridden by its name with `_` for `-`, and left out by an empty text."""
        sent = {"Origin": self.origin, "X-CSRF-Token": self.csrf, "Sec-Fetch-Site": "same-origin"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            f"/admin/{path}", json={} if body is None else body, headers={name: value for name, value in sent.items() if value}
        )

    async def log_in(self, name: str = "ann", password: str = PASSWORD, **headers: str) -> httpx.Response:
        answer = await self.post("login", {"name": name, "password": password}, **headers)
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    async def audited(self, action: str) -> list[SealedRecord]:
        """What the audit holds of an action, the oldest first."""
        await self.store.audit.settle()
        records, _ = await self.store.audit.search(AuditFilter(action=action), limit=100)
        return [*reversed(records)]


@pytest.fixture
async def site(
    tmp_path: Path, empty_store: Path, world: Callable[..., Any], api: Callable[..., Any]
) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Open a page; settings of `admin` are given by name, those of others as `sections`."""
    sites: list[Site] = []

    async def make(*, sections: Mapping[str, Any] | None = None, https: bool = False, **admin: Any) -> Site:
        chosen = {"enabled": True, "users": USERS, "secret": SECRET} | admin
        rpc: dict[str, Any] = {"admin.watch": lambda user, data: made.live.watch(user, data)}
        around = world(rpc_methods=rpc, admin=chosen, **(sections or {}))
        file = tmp_path / f"store{len(sites)}.db"
        shutil.copy(empty_store, file)
        store = await open_store(f"sqlite:///{file}", clock=around.clock)
        made = Site(around, api(around, operation_methods(store, around.clock)).calls, store, https=https)
        sites.append(made)
        return made

    yield make
    for one in sites:
        await one.http.aclose()
        await one.store.close()
