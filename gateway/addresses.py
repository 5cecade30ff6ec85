"""Where a peer really is: the one place that reads it out of a connection and of what proxies say.

A proxy that stands before us appends to a header where its own peer was. What stands to the left of it was written by whoever
it came from, so it is read from the right: past those whom the operator trusts, up to the first whom nobody vouches for. A
header is looked at only when the connection itself comes from a trusted network. Limits, audit, logs, policies and what is
told to backends all take the address from here.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from config.settings import HttpSettings

__all__ = ["Addresses", "network_of"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOPS: Final = 32
_LONGEST: Final = 4096
# RFC 7239 §4: `for` among other pairs, its value a token or a quoted string. No string may hold the separator of hops.
_FOR: Final = re.compile(r'(?:^|;)[ \t]*for=(?:"([^"\\]*)"|([^";, \t]*))[ \t]*(?:;|$)', re.IGNORECASE)
_V4_WITH_PORT: Final = re.compile(r"([0-9.]{7,15})(?::[0-9]{1,5})?")
_V6_IN_BRACKETS: Final = re.compile(r"\[([0-9a-fA-F:.]{2,45})\](?::[0-9]{1,5})?")


class Addresses:
    """Reads addresses by the settings of a process."""

    def __init__(self, settings: HttpSettings) -> None:
        self._trusted = tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies)
        self._header = settings.forwarded_header.lower().encode()
        self._is_forwarded = self._header == b"forwarded"

    @property
    def trusts_anybody(self) -> bool:
        """Whether headers can ever count."""
        return bool(self._trusted)

    def of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Tell where a request came from.

        Args:
            peer: The other end of the connection, as the system writes it.
            headers: Of the request; names in lower case.
        Returns:
            An address in its shortest form, IPv4 also where IPv6 carried it; `peer` as it is where that is no address.
        """
        at = _parse(peer)
        if at is None:
            return peer
        if self._trusted and self._trusts(at):
            lines = [value for name, value in headers if name == self._header]
            for hop in _hops(lines):
                told = self._read(hop)
                if told is None:
                    break  # nothing beyond what cannot be read is vouched for
                at = told
                if not self._trusts(at):
                    break
        return str(at)

    def _trusts(self, address: _Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)

    def _read(self, hop: str) -> _Address | None:
        if self._is_forwarded:
            found = _FOR.search(hop)
            if found is None:
                return None
            hop = found[1] if found[1] is not None else found[2]
        for form in (_V4_WITH_PORT, _V6_IN_BRACKETS):
            if (parts := form.fullmatch(hop)) is not None:
                return _parse(parts[1])
        return None if "%" in hop else _parse(hop)


def network_of(address: str, ipv6_prefix: int) -> str:
    """Name what an address is counted by: itself, or of IPv6 its network, which one peer has to itself."""
    at = _parse(address)
    if not isinstance(at, ipaddress.IPv6Address):
        return address
    return str(ipaddress.IPv6Network((int(at) >> (128 - ipv6_prefix) << (128 - ipv6_prefix), ipv6_prefix)))


def _hops(lines: Sequence[bytes]) -> Iterable[str]:
    """List what was appended, the newest first; no further than anybody honest goes."""
    text = b",".join(lines)[-_LONGEST:].decode("latin-1")
    return (hop.strip(" \t") for hop in text.rsplit(",", _HOPS)[::-1][:_HOPS])


def _parse(text: str) -> _Address | None:
    """Read an address; a zone (RFC 4007 §11) is of this machine alone and falls away."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
