"""Port: what experiments came to; and who gets which variant.

A variant is drawn by weighted rendezvous hashing: each draws a number from user, experiment and its own name, and the best one
by its weight wins. So a user keeps their variant from one request to the next, and when variants or weights change only so many
move as have to.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from broker.notification import Variant

__all__ = ["Experiments", "Interval", "VariantResult", "assign", "wilson"]

_Z_95: Final = 1.959963984540054


class VariantResult(msgspec.Struct, frozen=True):
    """How many users a variant was meant for, how many of them it was told to on any route, and how many acknowledged."""

    variant: str
    total: int
    sent: int
    acknowledged: int


class Interval(msgspec.Struct, frozen=True):
    """Between which shares the true one lies, at 95 % confidence."""

    low: float
    high: float


class Experiments(Protocol):
    """What can be asked of experiments."""

    async def results(self, experiment: str) -> Sequence[VariantResult]:
        """Count by variant, in the order of their names; nothing where nobody was ever in the experiment.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """


def assign(experiment: str, user: str, variants: Sequence[Variant]) -> Variant:
    """Tell a user's variant; there must be one of a weight above 0. The order of the variants does not matter."""
    return max((one for one in variants if one.weight > 0), key=lambda one: (_score(experiment, user, one), one.name))


def _score(experiment: str, user: str, variant: Variant) -> float:
    # Lengths first, so that no two different triples read alike.
    text = "".join(f"{len(part)}:{part}" for part in (experiment, user, variant.name))
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    drawn = (int.from_bytes(digest[:7], "big") + 0.5) / 2**56  # within (0, 1), both ends left out
    return -variant.weight / math.log(drawn)


def wilson(successes: int, trials: int) -> Interval:
    """Estimate a share by the score interval of Wilson (1927), which holds for few trials and for shares near 0 and 1 too."""
    if trials <= 0:
        return Interval(0.0, 1.0)
    share, z2 = successes / trials, _Z_95**2
    middle = share + z2 / (2 * trials)
    spread = _Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))
