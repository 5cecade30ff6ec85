"""Port: what experiments came to, and which variant was picked; and who gets which variant.

A variant is drawn by weighted rendezvous hashing: each draws a number from user, experiment and its own name, and the best one
by its weight wins. So a user keeps their variant from one request to the next, and when variants or weights change only so many
move as have to.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from broker.notification import Variant

__all__ = [
    "Counted",
    "Experiments",
    "Interval",
    "Lead",
    "Pick",
    "Place",
    "VariantResult",
    "add_up",
    "assign",
    "compare",
    "leader",
    "wilson",
    "winner",
]

_Z_95: Final = 1.959963984540054


class VariantResult(msgspec.Struct, frozen=True):
    """How many users a variant was meant for, how many of them it was told to on any route, and how many acknowledged. Those of
    the control group were told nothing."""

    variant: str
    total: int
    sent: int
    acknowledged: int
    is_control: bool = False

    @property
    def trials(self) -> int:
        """How many could acknowledge; somebody may do so on what an inbox showed them before any route did."""
        return max(self.sent, self.acknowledged)

    @property
    def share(self) -> float:
        """Which part of them did."""
        return self.acknowledged / self.trials if self.trials else 0.0


class Place(msgspec.Struct, frozen=True):
    """How far an experiment was counted: notifications are walked by variant and id, and these are the last one's."""

    variant: str = ""
    notification_id: str = ""


class Counted(msgspec.Struct, frozen=True):
    """What a piece of an experiment came to, by variant; and where the next piece begins, None where that was the last."""

    results: tuple[VariantResult, ...]
    then: Place | None


class Lead(msgspec.Struct, frozen=True):
    """The variant that is ahead, and how likely such a lead over each other one is where all are alike."""

    variant: str
    p_value: float


class Pick(msgspec.Struct, frozen=True):
    """What is told of an experiment from now on. Without a `variant` it is still to be found: once each was told to `after`
    users, the one that leads at this confidence."""

    experiment: str
    variant: str = ""
    after: int = 0
    confidence: float = 0.95


class Interval(msgspec.Struct, frozen=True):
    """Between which shares the true one lies, at 95 % confidence."""

    low: float
    high: float


class Experiments(Protocol):
    """What can be asked of experiments."""

    async def results(self, experiment: str) -> Sequence[VariantResult]:
        """Count all of it by variant, in the order of their names; nothing where nobody was ever in the experiment.

        It is counted piece by piece, so that nobody else waits for it; what changes meanwhile may be counted or not.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """

    async def count(self, experiment: str, *, after: Place, limit: int) -> Counted:
        """Count a piece: at most so many notifications behind a place. The pieces' results are to be added up (`add_up`).

        Raises as `results`.
        """

    async def pick(self, pick: Pick) -> None:
        """Say what is told from now on, in the place of what was said before. Raises as `results`."""

    async def take_back(self, experiment: str) -> None:
        """Let all variants be told again; no error where nothing was picked. Raises as `results`."""

    async def pick_of(self, experiment: str) -> Pick | None:
        """Read what was said. Raises as `results`."""

    async def undecided(self, *, after: str = "", limit: int) -> Sequence[Pick]:
        """List those that still wait for their variant, by experiment, beginning behind one. Raises as `results`."""

    async def decide(self, pick: Pick, variant: str) -> None:
        """Give an undecided pick its variant; nothing where somebody has said something else meanwhile. Raises as `results`."""


def add_up(results: Iterable[VariantResult]) -> tuple[VariantResult, ...]:
    """Add up what pieces of an experiment came to, by variant, in the order of their names."""
    totals: dict[str, VariantResult] = {}
    for one in results:
        so_far = totals.get(one.variant, VariantResult(one.variant, 0, 0, 0))
        totals[one.variant] = VariantResult(
            one.variant,
            so_far.total + one.total,
            so_far.sent + one.sent,
            so_far.acknowledged + one.acknowledged,
            so_far.is_control or one.is_control,
        )
    return tuple(totals[name] for name in sorted(totals))


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


def compare(one: VariantResult, other: VariantResult) -> float:
    """Tell how likely so large a difference of shares is where both variants are alike: the two-proportion z test, pooled and
    two-sided. 1 where nothing can be said."""
    if not one.trials or not other.trials:
        return 1.0
    pooled = (one.acknowledged + other.acknowledged) / (one.trials + other.trials)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / one.trials + 1 / other.trials))
    return math.erfc(abs(one.share - other.share) / spread / math.sqrt(2)) if spread else 1.0


def leader(results: Sequence[VariantResult]) -> Lead | None:
    """Tell which variant is ahead of all others; None where there are no two to compare. The control group is none of them.

    The likelihood is that against the nearest, times how many it is compared with (Bonferroni), since one of several leads by
    chance more easily.
    """
    told = [result for result in results if not result.is_control]
    if len(told) < 2:
        return None
    best = max(told, key=lambda result: (result.share, result.trials, result.variant))
    others = [result for result in told if result is not best]
    return Lead(best.variant, min(1.0, max(compare(best, other) for other in others) * len(others)))


def winner(results: Sequence[VariantResult], pick: Pick) -> str:
    """Tell which variant a pick is for by now; empty while that is not certain."""
    told = [result for result in results if not result.is_control]
    lead = leader(results)
    if lead is None or any(result.trials < pick.after for result in told) or lead.p_value > 1 - pick.confidence:
        return ""
    return lead.variant
