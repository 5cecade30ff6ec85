"""Which proxies namespaces name, and whether these exist: a name that leads nowhere must not pass for a proxy that agrees."""

from collections.abc import Iterator

from config.proxy_settings import DEFAULT_PROXY
from config.settings import ChannelOptions, RpcOptions, Settings

__all__ = ["CHANNEL_EVENTS", "channel_sections", "proxy_problems", "rpc_sections"]

CHANNEL_EVENTS = ("subscribe", "publish", "sub_refresh")


def proxy_problems(settings: Settings) -> list[str]:
    """Write a line for each name that no proxy has, and for each namespace that is to ask a proxy that is off."""
    names = {proxy.name for proxy in settings.proxies}
    problems = []
    for section, options in channel_sections(settings):
        for event in CHANNEL_EVENTS:
            name = getattr(options, f"{event}_proxy_name")
            if name == DEFAULT_PROXY:
                is_wanted = getattr(options, f"{event}_proxy_enabled")
                if is_wanted and not getattr(settings.channel.proxy, event).enabled:
                    problems.append(f"{section}.{event}_proxy_enabled: needs channel.proxy.{event}.enabled")
            elif name not in names:
                problems.append(_unknown(f"{section}.{event}_proxy_name", name))
    problems += [
        _unknown(f"{section}.proxy_name", options.proxy_name)
        for section, options in rpc_sections(settings)
        if options.proxy_name not in (DEFAULT_PROXY, *names)
    ]
    return problems


def channel_sections(settings: Settings) -> Iterator[tuple[str, ChannelOptions]]:
    """List all options of channels, each with the path of its section."""
    yield "channel.without_namespace", settings.channel.without_namespace
    for number, namespace in enumerate(settings.channel.namespaces):
        yield f"channel.namespaces[{number}]", namespace


def rpc_sections(settings: Settings) -> Iterator[tuple[str, RpcOptions]]:
    """List all options of RPC methods, each with the path of its section."""
    yield "rpc.without_namespace", settings.rpc.without_namespace
    for number, namespace in enumerate(settings.rpc.namespaces):
        yield f"rpc.namespaces[{number}]", namespace


def _unknown(path: str, name: str) -> str:
    return f'{path}: must be {DEFAULT_PROXY} or the name of one of proxies (got "{name}")'
