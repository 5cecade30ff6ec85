"""Ports, bound before anything else is opened, so that a taken one is told first."""

import socket

from config.errors import SettingsError

__all__ = ["adopt", "bind", "bind_again", "bind_shared", "port_of"]


def bind(setting: str, host: str, port: int) -> socket.socket:
    """Bind a port that nobody else may have. It does not answer until it is listened on.

    Args:
        setting: The setting that `port` comes from, for the error's text.
    Raises:
        SettingsError: It cannot be bound.
    """
    return _bind(setting, host, port, is_shared=False)


def bind_shared(setting: str, host: str, port: int, count: int) -> list[socket.socket]:
    """Bind one port so many times: the system shares connections out among those that are listened on (SO_REUSEPORT).

    Raises:
        SettingsError: It cannot be bound, somebody else has it, or this system has no such option.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise SettingsError(["--workers: this system cannot share a port among processes (it has no SO_REUSEPORT)"])
    # A second supervisor would be let in beside the first one; only a socket without the option finds it there.
    with bind(setting, host, port) as probe:
        port = port_of(probe)
    return [_bind(setting, host, port, is_shared=True) for _ in range(count)]


def bind_again(listener: socket.socket) -> socket.socket:
    """Bind the port of a socket of `bind_shared` once more, and close that one with whoever waits in its queue.

    Raises:
        OSError: It cannot be bound; the old socket is as it was.
    """
    fresh = socket.socket(listener.family, listener.type)
    try:
        _prepare(fresh, is_shared=True)
        fresh.bind(listener.getsockname())
    except OSError:
        fresh.close()
        raise
    listener.close()
    return fresh


def adopt(descriptor: int) -> socket.socket:
    """Take over a bound socket that the parent process handed down."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def port_of(listener: socket.socket) -> int:
    """Tell the port that was really bound."""
    port: int = listener.getsockname()[1]
    return port


def _bind(setting: str, host: str, port: int, *, is_shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        _prepare(listener, is_shared=is_shared)
        listener.bind((host.strip("[]"), port))
    except OSError as exc:
        listener.close()
        raise SettingsError([f"{setting}: cannot listen on {host}:{port}: {exc.strerror}"]) from None
    return listener


def _prepare(listener: socket.socket, *, is_shared: bool) -> None:
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
