"""The guard of addresses that come from outside: Web Push subscriptions, webhooks, and where issuers keep their keys.

The first two are URLs that users hand in. Such a URL is whatever somebody has registered, so that it is read as an attempt to
reach a neighbour of ours. Three walls, each sufficient for most attempts: the spelling (one strict pattern instead of a
parser, because two parsers that disagree are a hole), the allow-list of hosts, and the addresses that the name resolves to,
which are looked up once and then pinned, so that no second lookup can answer otherwise.
"""

import asyncio
import ipaddress
import re
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from config.clock import Clock

__all__ = [
    "Endpoint",
    "Forbidden",
    "Pins",
    "Unresolved",
    "check_endpoint",
    "check_private_endpoint",
    "is_global_address",
    "lookup",
]

_ENDPOINT_CHARS: Final = 2048
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# No user name, no port but 443, no fragment, no trailing dot, no percent sign or other script in the host; RFC 3986 §3.3
# characters in the path. The last label must not look like a number: 127.1, 0x7f.1 and 017700000001 are addresses to some.
_ENDPOINT: Final = re.compile(
    rf"https://(?P<host>(?:{_LABEL}\.)+(?!\d+(?:[:/?]|$)|0x[0-9a-f]*(?:[:/?]|$)){_LABEL})"
    r"(?::443)?(?P<path>(?:[/?][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?)"
)
# Of an operator's own network: any host, port and path, but nothing that could be read as something else.
_PRIVATE_ENDPOINT: Final = re.compile(
    r"https?://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])"
    r"(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)
_LOCAL_NAMES: Final = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "arpa",
    "onion",
    "test",
)
_PIN_S: Final = 60.0
_PINS: Final = 1024


class Forbidden(Exception):
    """The address must not be called; the text names the rule and not the address."""


class Unresolved(Exception):
    """The name has no address right now."""


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint that passed the check of its spelling. `is_named` says that its host stands in the allow-list by name."""

    url: str
    host: str
    is_named: bool

    @property
    def origin(self) -> str:
        """The origin as RFC 6454 §6.2 writes it, without the default port."""
        return f"https://{self.host}"


def check_endpoint(url: str, allowed_hosts: Sequence[str]) -> Endpoint:
    """Hold an endpoint against spelling and allow-list.

    Args:
        allowed_hosts: Names that are allowed with all their subdomains; "*" allows any.
    Raises:
        Forbidden: It breaks a rule.
    """
    if len(url) > _ENDPOINT_CHARS:
        raise Forbidden("endpoint longer than 2048 characters")
    parts = _ENDPOINT.fullmatch(url)
    if parts is None:
        raise Forbidden("endpoint is not a plain https address with a host name")
    host = parts["host"]
    if len(host) > 253:
        raise Forbidden("host name too long")
    if host.rpartition(".")[2] in _LOCAL_NAMES:
        raise Forbidden("host name of a local network")
    is_named = any(host == name or host.endswith(f".{name}") for name in allowed_hosts)
    if not is_named and "*" not in allowed_hosts:
        raise Forbidden("host is not among the allowed ones")
    return Endpoint(url, host, is_named)


def check_private_endpoint(url: str) -> None:
    """Hold an address that an operator has named as one of their own network against its spelling.

    Raises:
        Forbidden: It breaks a rule.
    """
    if len(url) > _ENDPOINT_CHARS or _PRIVATE_ENDPOINT.fullmatch(url) is None:
        raise Forbidden("endpoint is not a plain http or https address")


def is_global_address(text: str) -> bool:
    """Whether an address belongs to the public network, seen through the ways in which IPv6 carries IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _NAT64:
            return is_global_address(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.sixtofour is not None:
            return is_global_address(str(address.sixtofour))
        # Mapped and compatible IPv4, unique local, link local and whatever is not handed out lie outside 2000::/3.
        return address in _GLOBAL_UNICAST and address.is_global
    return address.is_global and not (address.is_multicast or address.is_reserved or address in _SIXTOFOUR_RELAYS)


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_SIXTOFOUR_RELAYS: Final = ipaddress.IPv4Network("192.88.99.0/24")


def lookup(host: str) -> Sequence[str]:
    """Look a name up in the system's resolver; blocks, so it is called in a thread.

    Raises:
        OSError: There is no such name, or no answer.
    """
    found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for _family, _type, _protocol, _name, address in found))


class Pins:
    """Addresses of hosts, looked up at most once a minute, each checked before anybody may connect to it."""

    def __init__(self, clock: Clock, look_up: Callable[[str], Sequence[str]] = lookup) -> None:
        """Make it.

        Args:
            look_up: Gives a name's addresses; called in a thread.
        """
        self._clock = clock
        self._look_up = look_up
        self._pins: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def pin(self, host: str) -> tuple[str, ...]:
        """Give libcurl's RESOLVE entry for a host, so that it connects to a checked address and to no other.

        Raises:
            Forbidden, Unresolved: As `addresses`.
        """
        addresses = await self.addresses(host)
        brackets = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        return (f"{host}:443:{brackets}",)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Give a host's addresses, all of them public.

        Raises:
            Forbidden: One address or more is not public.
            Unresolved: The name has none right now.
        """
        until, addresses = self._pins.get(host, (0.0, ()))
        if addresses and self._clock.monotonic() < until:
            return addresses
        if (flight := self._flights.get(host)) is None:
            flight = self._flights[host] = asyncio.create_task(self._renew(host), name=f"lookup:{host}")
            flight.add_done_callback(lambda _: self._flights.pop(host, None))
        await asyncio.wait({flight})  # a caller that goes away leaves the lookup to the others
        return flight.result()

    async def close(self) -> None:
        """Wait for lookups under way: a thread cannot be stopped."""
        if self._flights:
            await asyncio.wait(self._flights.values())

    async def _renew(self, host: str) -> tuple[str, ...]:
        try:
            addresses = tuple(await asyncio.to_thread(self._look_up, host))
        except (OSError, UnicodeError) as exc:
            raise Unresolved("host name not found") from exc
        if not addresses:
            raise Unresolved("host name without an address")
        if not all(map(is_global_address, addresses)):
            raise Forbidden("host name leads to an address that is not public")
        self._pins[host] = (self._clock.monotonic() + _PIN_S, addresses)
        self._pins.move_to_end(host)
        while len(self._pins) > _PINS:
            self._pins.popitem(last=False)
        return addresses
