"""The address under test, taken apart once."""

from urllib.parse import urlsplit

import msgspec

__all__ = ["BadTarget", "Target", "parse_target"]


class BadTarget(ValueError):
    """The address cannot be tested; the text says why."""


class Target(msgspec.Struct, frozen=True):
    """Where the server listens; `prefix` stands before every path (empty, or `/x` without a slash at its end)."""

    host: str
    port: int
    tls: bool = False
    prefix: str = ""

    @property
    def authority(self) -> str:
        """What a `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as people write it."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def parse_target(url: str) -> Target:
    """Take an http(s) or ws(s) address apart.

    Raises:
        BadTarget: It has another scheme, no host, or a port that is none.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError as exc:
        raise BadTarget(f"{url}: the port must be a number from 1 to 65535") from exc
    if parts.scheme not in {"http", "https", "ws", "wss"}:
        raise BadTarget(f"{url}: the scheme must be http, https, ws or wss")
    if not parts.hostname:
        raise BadTarget(f"{url}: a host is missing")
    tls = parts.scheme in {"https", "wss"}
    return Target(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))
