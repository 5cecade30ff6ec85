"""Where a status webhook may go: a public https address, or a host that the settings name.

The address comes from the settings, not from users, and still is held to the egress rules: settings are made by templates and
consoles too, and an event tells of people.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from config.egress import Pins, check_endpoint

__all__ = ["WebhookTarget", "check_target"]

_NAMED: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)


class WebhookTarget(msgspec.Struct, frozen=True):
    """An address that was checked; `host` is to be looked up and pinned where it is not one that the settings name."""

    url: str
    host: str
    is_private: bool

    async def pinned(self, pins: Pins) -> tuple[str, ...]:
        """Give libcurl's RESOLVE entries.

        Raises:
            Forbidden: The name leads into a private network.
            Unresolved: It leads nowhere right now.
        """
        return () if self.is_private else await pins.pin(self.host)


def check_target(url: str, private_hosts: Sequence[str]) -> WebhookTarget:
    """Hold an address against the rules.

    Raises:
        Forbidden: It breaks one; the text says which.
    """
    parts = _NAMED.fullmatch(url)
    if parts is not None and parts["host"] in private_hosts:
        return WebhookTarget(url, parts["host"], is_private=True)
    endpoint = check_endpoint(url, ("*",))
    return WebhookTarget(url, endpoint.host, is_private=False)
