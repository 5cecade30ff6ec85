"""All event proxies of a node, made from the settings; None for an event that nobody is asked about.

Which proxy decides about a channel is a matter of its namespace: the one of the event's own section (`default`), or one of the
named ones. Each event of each of them has a pool of connections and a breaker of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from config.clock import Clock
from config.errors import SettingsError
from config.proxies import channel_sections, proxy_problems, rpc_sections
from config.proxy_settings import DEFAULT_PROXY, EndpointSettings, ProxySettings
from config.settings import ChannelOptions, Settings
from gateway.proxy.backend import Backend
from gateway.proxy.connect import ConnectProxy
from gateway.proxy.headers import kept_names
from gateway.proxy.messages import ConnectGrant, ConnectionRenewal, PublishGrant, Renewal, RpcAnswer, SubscribeGrant
from gateway.proxy.publish import PublishProxy
from gateway.proxy.refresh import RefreshProxy, SubRefreshProxy
from gateway.proxy.rpc import RpcProxy, RpcRoutes
from gateway.proxy.subscribe import SubscribeProxy

__all__ = ["Proxies"]

R = TypeVar("R")
P = TypeVar("P")


class Proxies:
    """Who is asked about what."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Make them; nothing is connected yet.

        Raises:
            SettingsError: Certificates to trust cannot be read, or a namespace asks a proxy that is not there.
        """
        if problems := proxy_problems(settings):
            raise SettingsError(problems)
        self._settings, self._clock = settings, clock
        self._kept_names: frozenset[str] = frozenset()
        # Of the request that opens a connection, those that are passed on; in lower case.
        self.http_names: frozenset[str] = frozenset()
        self.backends: list[Backend[Any]] = []
        client, channel, rpc = settings.client.proxy, settings.channel.proxy, settings.rpc.proxy
        connect = self._default("connect", "client.proxy.connect", client.connect, ConnectGrant)
        refresh = self._default("refresh", "client.proxy.refresh", client.refresh, ConnectionRenewal)
        self.connect = ConnectProxy(connect, clock) if connect else None
        self.refresh = RefreshProxy(refresh, clock) if refresh else None
        self._subscribe: Mapping[str, SubscribeProxy] = self._make(
            self._default("subscribe", "channel.proxy.subscribe", channel.subscribe, SubscribeGrant),
            self._named("subscribe", SubscribeGrant),
            lambda backend: SubscribeProxy(backend, clock),
        )
        self._publish: Mapping[str, PublishProxy] = self._make(
            self._default("publish", "channel.proxy.publish", channel.publish, PublishGrant),
            self._named("publish", PublishGrant),
            PublishProxy,
        )
        self._sub_refresh: Mapping[str, SubRefreshProxy] = self._make(
            self._default("sub_refresh", "channel.proxy.sub_refresh", channel.sub_refresh, Renewal),
            self._named("sub_refresh", Renewal),
            lambda backend: SubRefreshProxy(backend, clock),
        )
        rpcs = self._make(self._default("rpc", "rpc.proxy", rpc, RpcAnswer), self._named("rpc", RpcAnswer), RpcProxy)
        self.rpc = RpcRoutes(settings.rpc, rpcs)

    def subscribe(self, options: ChannelOptions) -> SubscribeProxy | None:
        """Tell who decides about subscriptions to channels of these options."""
        return self._subscribe[options.subscribe_proxy_name] if options.subscribe_proxy_enabled else None

    def publish(self, options: ChannelOptions) -> PublishProxy | None:
        """Tell who decides about publications of clients in channels of these options."""
        return self._publish[options.publish_proxy_name] if options.publish_proxy_enabled else None

    def sub_refresh(self, options: ChannelOptions) -> SubRefreshProxy | None:
        """Tell who prolongs subscriptions to channels of these options."""
        return self._sub_refresh[options.sub_refresh_proxy_name] if options.sub_refresh_proxy_enabled else None

    def kept_headers(self, emulated: Mapping[str, str]) -> dict[str, str]:
        """Pick what must be remembered of the headers that a client names in connect."""
        if not self._kept_names:
            return {}
        return {name.lower(): value for name, value in emulated.items() if name.lower() in self._kept_names}

    async def close(self) -> None:
        """Close all connections; questions under way fail."""
        for backend in self.backends:
            await backend.close()

    def _make(self, default: Backend[R] | None, named: Iterator[Backend[R]], make: Callable[[Backend[R]], P]) -> dict[str, P]:
        backends = [*([default] if default else []), *named]
        return {backend.name: make(backend) for backend in backends}

    def _default(self, event: str, path: str, settings: ProxySettings, result: type[R]) -> Backend[R] | None:
        if not settings.enabled:
            return None
        return self._open(Backend(event, DEFAULT_PROXY, path, settings, result, self._clock), settings)

    def _named(self, event: str, result: type[R]) -> Iterator[Backend[R]]:
        """Make a backend for each named proxy that some namespace asks about the event."""
        wanted = self._wanted(event)
        for number, settings in enumerate(self._settings.proxies):
            if settings.name in wanted:
                path = f"proxies[{number}]"
                yield self._open(Backend(event, settings.name, path, settings, result, self._clock), settings)

    def _wanted(self, event: str) -> set[str]:
        if event == "rpc":
            return {options.proxy_name for _, options in rpc_sections(self._settings) if options.proxy_enabled}
        return {
            getattr(options, f"{event}_proxy_name")
            for _, options in channel_sections(self._settings)
            if getattr(options, f"{event}_proxy_enabled")
        }

    def _open(self, backend: Backend[R], settings: EndpointSettings) -> Backend[R]:
        self.backends.append(backend)
        self._kept_names |= kept_names(settings)
        self.http_names |= {name.lower() for name in settings.http_headers}
        return backend
