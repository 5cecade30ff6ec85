"""Who may speak to the development pages: only somebody on this machine who also asked for this machine.

Listening on loopback keeps the network out, not the visitor's own browser: a foreign page whose name is re-pointed at
127.0.0.1 (DNS rebinding) reaches us as its own origin and could read the API key. Its requests still carry the foreign
name in `Host`, so that header decides.
"""

import ipaddress
import re
from typing import Final

__all__ = ["is_loopback_host"]

# RFC 9110 §7.2 and RFC 3986 §3.2.2: a name or an IPv4 address, or an IPv6 address in brackets, then perhaps a port.
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::[0-9]{1,5})?")


def is_loopback_host(host: str) -> bool:
    """Tell whether a `Host` header names this machine: `localhost`, `*.localhost` (RFC 6761 §6.3), or a loopback address."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["ipv6"] or match["name"].lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
