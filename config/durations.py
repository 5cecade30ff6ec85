"""Durations as people write them: `"300ms"`, `"25s"`, `"1h30m"`.

Settings files speak in these words; the code speaks in seconds as floats.
"""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_S = 100 * 365.25 * 86400
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Read a duration in seconds.

    Args:
        text: One or more numbers with a unit of ms, s, m or h, largest unit first by convention: `"1h30m"`. `"0"` is zero.
    Raises:
        ValueError: The text has another form; the message says which form is meant.
    """
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError('must be a duration such as "300ms", "25s" or "720h"')
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise ValueError("must be a duration of at most 100 years")
    return seconds


def format_duration(seconds: float) -> str:
    """Write a duration the way `parse_duration` reads it, in the largest single unit that needs no fraction: `"90s"`."""
    for unit in ("h", "m", "s", "ms"):
        count = seconds / _UNIT_S[unit]
        if count >= 1 and math.isclose(count, round(count), rel_tol=1e-12):
            return f"{round(count)}{unit}"
    # Never in exponents: the parser does not read them.
    return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms" if seconds else "0s"


def _to_seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    # A float in TOML may be nan or inf, which every later comparison would take for something else.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LONGEST_S:
        raise ValueError('must be a duration such as "300ms", "25s" or "720h"')
    return float(value)


# Seconds in the code; written as text in files and in the environment. A bare number counts as seconds.
Duration = Annotated[
    float,
    BeforeValidator(_to_seconds),
    WithJsonSchema({"type": "string", "pattern": r"^(0|(\d+(\.\d+)?(ms|s|m|h))+)$", "examples": ["25s"]}),
]
