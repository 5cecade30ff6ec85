"""Durations counted in buckets that grow by a factor, so that histograms of hours add up to that of a month.

Each bucket is 5 % wider than the one before (gamma = (1 + e) / (1 - e) for an error e of 2.5 %), and stands for the value in
its middle: so a quantile is off by at most 2.5 % of the duration that has this rank, however many histograms were added. What
is shorter than a millisecond counts as one.
"""

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["ERROR", "Histogram", "bucket_of", "quantile_s"]

# How many durations, by bucket.
Histogram = dict[int, int]

ERROR: Final = 0.025
_GAMMA: Final = (1 + ERROR) / (1 - ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)


def bucket_of(micros: int) -> int:
    """Tell the bucket of a duration: number i holds what is above gamma**(i - 1) and at most gamma**i milliseconds."""
    return math.ceil(math.log(micros / 1000) / _LOG_GAMMA) if micros > 1000 else 0


def quantile_s(histogram: Mapping[int, int], share: float) -> float | None:
    """Tell the duration, in seconds, that a share of all do not exceed; None where there are none."""
    total = sum(histogram.values())
    rank, seen = max(1, math.ceil(share * total)), 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return 2 * _GAMMA**bucket / (_GAMMA + 1) / 1000 if bucket else 0.001
    return None
