"""The events `refresh` and `sub_refresh`: the backend says how much longer a connection or a subscription goes on."""

from enum import Enum
from typing import TypeVar

import msgspec

from config.clock import Clock
from gateway.auth.capabilities import Capabilities
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.proxy.backend import Backend
from gateway.proxy.errors import BackendFailed, BadAnswer
from gateway.proxy.grants import capabilities_of, expiry_of, meta_of
from gateway.proxy.messages import ConnectionRenewal, RefreshCall, Renewal, Response, SubRefreshCall
from gateway.proxy.payloads import json_of
from gateway.session.client import Client

__all__ = ["Lapse", "RefreshProxy", "Renewed", "SubRefreshProxy", "renewal_of"]


R = TypeVar("R", bound=Renewal)


class Lapse(Enum):
    """Why something does not simply go on."""

    EXPIRED = "the backend lets it end"
    UNREACHABLE = "the backend does not answer"
    BROKEN = "the backend's answer cannot be used"


class Renewed(msgspec.Struct, frozen=True):
    """It goes on until `expire_at`, in Unix seconds, 0 for ever; empty infos and meta leave those that are there.

    The capabilities are different: a right that the newest answer does not name is over, so that leaving one out withdraws it.
    """

    expire_at: int
    info: bytes = b""
    meta: bytes = b""
    capabilities: Capabilities | None = None


def renewal_of(response: Response[R], clock: Clock) -> Renewed | Lapse:
    """Read an answer; only its result counts."""
    result = response.result
    if result is None or result.expired:
        return Lapse.EXPIRED
    expire_at = expiry_of(result.expire_at, clock)
    if 0 < expire_at <= clock.now().timestamp():
        return Lapse.EXPIRED
    try:
        info = json_of(result.info, result.b64info)
        if isinstance(result, ConnectionRenewal):
            return Renewed(expire_at, info, meta_of(result.meta), capabilities_of(result.caps))
        return Renewed(expire_at, info)
    except BadAnswer:
        return Lapse.BROKEN


class RefreshProxy:
    """Asks about connections."""

    def __init__(self, backend: Backend[ConnectionRenewal], clock: Clock) -> None:
        self._backend, self._clock = backend, clock

    async def __call__(self, client: Client) -> Renewed | Lapse:
        """Ask; never raises for what a backend does."""
        return await _ask(self._backend, client, RefreshCall(**self._backend.identity(client)), self._clock)


class SubRefreshProxy:
    """Asks about subscriptions."""

    def __init__(self, backend: Backend[Renewal], clock: Clock) -> None:
        self._backend, self._clock = backend, clock

    async def __call__(self, client: Client, channel: str) -> Renewed | Lapse:
        """Ask; never raises for what a backend does."""
        call = SubRefreshCall(**self._backend.identity(client), channel=channel)
        return await _ask(self._backend, client, call, self._clock)


async def _ask(backend: Backend[R], client: Client, call: msgspec.Struct, clock: Clock) -> Renewed | Lapse:
    try:
        return renewal_of(await backend.ask(client, call), clock)
    except BackendFailed:
        return Lapse.UNREACHABLE
    except (ClientError, DisconnectClient):
        return Lapse.EXPIRED  # a status with a meaning of its own is an answer, but no result
