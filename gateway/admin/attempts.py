"""How often anybody may try a password: by address and by name, on all nodes together.

A name is patient for longer than an address, so that somebody who keeps guessing from one place locks out that place before
they lock out an operator. Every try counts, also one that fits: what is counted cannot be told from outside.
"""

import math
from typing import Final

from broker.limits import Limits, Rate
from config.clock import Clock
from gateway.addresses import network_of
from gateway.node import Node
from gateway.shared_rate import SharedRate

__all__ = ["Attempts"]

_PER_ADDRESS: Final = Rate(1 / 20, 10)
_PER_NAME: Final = Rate(1 / 20, 30)
_IPV6_PREFIX: Final = 64


class Attempts:
    """Counts logins."""

    def __init__(self, node: Node, limits: Limits | None, clock: Clock) -> None:
        """Make it; without `limits` this node counts for itself."""

        def make(name: str, rate: Rate) -> SharedRate:
            return SharedRate(name, rate, clock, limits=limits, tasks=node.tasks, after=node.wheel.after)

        self._addresses, self._names = make("admin.address", _PER_ADDRESS), make("admin.name", _PER_NAME)

    def count(self, address: str, name: str) -> int:
        """Count a try; tells 0 where it may go on, else after how many whole seconds to come back."""
        wait_s = self._addresses.spend(network_of(address, _IPV6_PREFIX)) or self._names.spend(name)
        return math.ceil(wait_s)
