"""What a cache counts: plain integers, read when somebody asks."""

from bisect import bisect_left
from typing import Final

import msgspec

__all__ = ["AGES_S", "Ages", "CacheStatistics", "Result"]

# Upper bounds of the buckets that ages are counted in.
AGES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 60.0, 600.0, 3600.0)


class Result:
    """How a look into a level can end."""

    HIT: Final = "hit"
    MISS: Final = "miss"
    STALE: Final = "stale"
    FAILED: Final = "failed"


class Ages:
    """How old what was given out was, by buckets; the last one is for all that is older."""

    def __init__(self) -> None:
        self.counts = [0] * (len(AGES_S) + 1)
        self.sum_s = 0.0

    def add(self, age_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(AGES_S, age_s)] += 1
        self.sum_s += age_s


class CacheStatistics(msgspec.Struct, frozen=True):
    """What a cache has done since it was made.

    Attributes:
        looks: How looks ended, by level (`local`, `shared`) and result; a look at the second level follows a miss of the first.
        entries: What the first level holds now.
        evictions: What it let go of for want of room.
        forgotten: What it let go of because it had changed.
        ages: Of what either level gave out, since the store was asked for it.
    """

    name: str
    looks: dict[tuple[str, str], int]
    entries: int
    evictions: int
    forgotten: int
    ages: Ages
