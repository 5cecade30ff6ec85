"""All event proxies of a node, made from the settings; None for an event that nobody is asked about."""

from collections.abc import Mapping
from typing import TypeVar

from config.clock import Clock
from config.settings import ProxySettings, Settings
from gateway.proxy.backend import Backend
from gateway.proxy.connect import ConnectProxy
from gateway.proxy.headers import kept_names
from gateway.proxy.messages import ConnectGrant, ConnectionRenewal, PublishGrant, Renewal, RpcAnswer, SubscribeGrant
from gateway.proxy.publish import PublishProxy
from gateway.proxy.refresh import RefreshProxy, SubRefreshProxy
from gateway.proxy.rpc import RpcProxy
from gateway.proxy.subscribe import SubscribeProxy

__all__ = ["Proxies"]

R = TypeVar("R")


class Proxies:
    """Who is asked about what."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Make them; nothing is connected yet.

        Raises:
            SettingsError: Certificates to trust cannot be read.
        """
        client, channel, rpc = settings.client.proxy, settings.channel.proxy, settings.rpc.proxy
        self._clock = clock
        self._backends: list[Backend[object]] = []
        self._kept_names = kept_names(
            (client.connect, client.refresh, channel.subscribe, channel.publish, channel.sub_refresh, rpc)
        )
        connect = self._backend("client.proxy.connect", client.connect, ConnectGrant)
        refresh = self._backend("client.proxy.refresh", client.refresh, ConnectionRenewal)
        subscribe = self._backend("channel.proxy.subscribe", channel.subscribe, SubscribeGrant)
        publish = self._backend("channel.proxy.publish", channel.publish, PublishGrant)
        sub_refresh = self._backend("channel.proxy.sub_refresh", channel.sub_refresh, Renewal)
        calls = self._backend("rpc.proxy", rpc, RpcAnswer)
        self.connect = ConnectProxy(connect, clock) if connect else None
        self.refresh = RefreshProxy(refresh, clock) if refresh else None
        self.subscribe = SubscribeProxy(subscribe, clock) if subscribe else None
        self.publish = PublishProxy(publish) if publish else None
        self.sub_refresh = SubRefreshProxy(sub_refresh, clock) if sub_refresh else None
        self.rpc = RpcProxy(calls) if calls else None

    def kept_headers(self, emulated: Mapping[str, str]) -> dict[str, str]:
        """Pick what must be remembered of the headers that a client names in connect."""
        if not self._kept_names:
            return {}
        return {name.lower(): value for name, value in emulated.items() if name.lower() in self._kept_names}

    async def close(self) -> None:
        """Close all connections; questions under way fail."""
        for backend in self._backends:
            await backend.close()

    def _backend(self, path: str, settings: ProxySettings, result: type[R]) -> Backend[R] | None:
        if not settings.enabled:
            return None
        backend = Backend(path, settings, result, self._clock)
        self._backends.append(backend)  # type: ignore[arg-type]  # kept to be closed only
        return backend
