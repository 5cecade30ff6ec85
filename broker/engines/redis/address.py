"""Addresses of Redis, as `broker.url` spells them, with what `[broker]` says beside it.

redis://user:password@host:6379/0?prefix=name      rediss:// with TLS
redis+sentinel://host:26379,host2:26379/mymaster/0  rediss+sentinel://
redis+cluster://host:6379,host2:6379                rediss+cluster://
redis+unix:///run/valkey.sock?db=0
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from config.errors import SettingsError
from config.settings import BrokerSettings

__all__ = ["Address", "Host", "parse_address"]

Topology = Literal["single", "sentinel", "cluster", "unix"]

_TOPOLOGIES: Final[Mapping[str, Topology]] = {"": "single", "sentinel": "sentinel", "cluster": "cluster", "unix": "unix"}
_PORTS: Final[Mapping[Topology, int]] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
# Braces would move the hash tag, by which a cluster keeps the keys of a channel together.
_PREFIX: Final = re.compile(r"[-A-Za-z0-9_.:]{1,64}")


class Host(msgspec.Struct, frozen=True, order=True):
    """Where one server listens; port 0 means that `name` is the path of a socket."""

    name: str
    port: int

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}" if self.port else self.name


class Address(msgspec.Struct, frozen=True):
    """How to reach Redis; its repr hides what is secret.

    Attributes:
        hosts: The server; the sentinels; or some nodes of the cluster, from which the others are learnt.
        master: What the sentinels call the master.
    """

    topology: Topology
    hosts: tuple[Host, ...]
    prefix: str
    username: str = ""
    password: str = ""
    db: int = 0
    uses_tls: bool = False
    master: str = ""

    def __repr__(self) -> str:
        return f"Address({self.topology}, {', '.join(map(str, self.hosts))}, prefix={self.prefix})"


def parse_address(settings: BrokerSettings) -> Address:
    """Read `broker.url`.

    Raises:
        SettingsError: Naming the setting and the rule, never quoting the address, which may hold a password.
    """
    try:
        parts = urlsplit(settings.url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        scheme, _, kind = parts.scheme.partition("+")
        topology = _TOPOLOGIES[kind]
        if scheme not in ("redis", "rediss"):
            raise KeyError(scheme)
    except (ValueError, KeyError):
        raise _wrong("must begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or redis+unix://") from None
    user_info, _, netloc = parts.netloc.rpartition("@")
    username, _, password = user_info.partition(":")
    hosts = (Host(unquote(parts.path), 0),) if topology == "unix" else tuple(_hosts(netloc, _PORTS[topology]))
    if topology == "single" and len(hosts) > 1:
        raise _wrong("names several hosts; redis+cluster:// and redis+sentinel:// take them")
    master, db = _path(topology, parts.path, query)
    if unknown := sorted(set(query) - ({"prefix", "db"} if topology == "unix" else {"prefix"})):
        raise _wrong(f"has an unknown option {unknown[0][:32]!r}; prefix is known, everything else is a setting of [broker]")
    return Address(
        topology,
        hosts,
        _checked_prefix(query.get("prefix", settings.prefix)),
        unquote(username),
        unquote(password),
        db,
        uses_tls=_checked_tls(scheme == "rediss", settings),
        master=master,
    )


def _hosts(netloc: str, default_port: int) -> list[Host]:
    hosts = []
    for text in netloc.split(","):
        try:
            parts = urlsplit(f"//{text}")
            name, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong("has a port that is no number from 1 to 65535, or an address in brackets that is none") from None
        if not name or parts.path or port == 0:
            raise _wrong("must name a host: redis://host:6379")
        hosts.append(Host(name, default_port if port is None else port))
    return hosts


def _path(topology: Topology, path: str, query: Mapping[str, str]) -> tuple[str, int]:
    """Read what follows the hosts: `/db`, `/master/db` for sentinels; a cluster has one database only."""
    names = [unquote(name) for name in path.split("/") if name]
    master = ""
    if topology == "unix":
        names = [query["db"]] if "db" in query else []
        if not path.strip("/"):
            raise _wrong("must name the socket's path: redis+unix:///run/valkey.sock")
    elif topology == "sentinel":
        if not names:
            raise _wrong("must name the master that the sentinels watch: redis+sentinel://host:26379/mymaster")
        master = names.pop(0)
    if len(names) > 1 or (names and not re.fullmatch(r"[0-9]{1,4}", names[0])):
        raise _wrong("must end with the number of a database, or with nothing")
    db = int(names[0]) if names else 0
    if topology == "cluster" and db:
        raise _wrong("names a database, but a cluster has only number 0")
    return master, db


def _checked_prefix(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise SettingsError(["broker.prefix: must be 1 to 64 of the characters A-Z a-z 0-9 - _ . :"])
    return prefix


def _checked_tls(uses_tls: bool, settings: BrokerSettings) -> bool:
    files = {name: getattr(settings, name) for name in ("ca_file", "cert_file", "key_file")}
    problems = []
    for name, value in files.items():
        if value and not uses_tls:
            problems.append(f"broker.{name}: is only used with rediss://")
        elif value and not Path(value).is_file():
            problems.append(f"broker.{name}: cannot be read: {value}")
    if bool(settings.cert_file) != bool(settings.key_file):
        problems.append("broker.cert_file: goes together with broker.key_file: set both or neither")
    if problems:
        raise SettingsError(problems)
    return uses_tls


def _wrong(rule: str) -> SettingsError:
    return SettingsError([f"broker.url: {rule}"])
