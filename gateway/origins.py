"""Which web origins may connect: browsers say where a page came from, and a foreign one must not speak for its visitor."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["is_origin_allowed"]


def is_origin_allowed(origin: str, allowed: Sequence[str]) -> bool:
    """Judge an `Origin` header.

    Args:
        origin: The header, "" where there is none: then no browser page is behind it and it passes.
        allowed: Origins or patterns with `*`; empty lets no page in. A bracket means itself, as in `http://[::1]:8000`.
    """
    if not origin:
        return True
    return any(fnmatchcase(origin.lower(), pattern.lower().replace("[", "[[]")) for pattern in allowed)
