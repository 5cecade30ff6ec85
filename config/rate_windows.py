"""Rates as people write them: `"30/h"`, `"200/min burst 40"`.

A rate is an average with a burst: so many may come at once after a rest, the others follow as far apart as the average says.
Within one window there can thus be as many as the burst and the average together, so whoever must never exceed a provider's
quota leaves room for the burst: 200 a minute and 40 at once make 240 in the worst minute.
"""

import re
from typing import Final, NamedTuple

__all__ = ["RateWindow", "parse_rate_window"]

_UNIT_S: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FORM: Final = re.compile(r"([1-9]\d{0,8})/(s|min|h|d)(?: burst ([1-9]\d{0,8}))?")


class RateWindow(NamedTuple):
    """So many per second on average, and so many at once."""

    per_s: float
    burst: int


def parse_rate_window(text: str) -> RateWindow:
    """Read a rate.

    Args:
        text: A whole number, `/`, one of s, min, h, d, and if wanted ` burst ` with a number; without it a whole window's worth
            may come at once.
    Raises:
        ValueError: The text has another form; the message says which form is meant.
    """
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise ValueError('must be a rate such as "30/h" or "200/min burst 40", in s, min, h or d')
    count, unit, burst = parts.groups()
    return RateWindow(int(count) / _UNIT_S[unit], int(burst or count))
