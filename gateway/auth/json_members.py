"""JSON from strangers, read by name: two readers must never see two values, so a name that comes twice is refused."""

import json
from typing import Any, Final

__all__ = ["read_members"]


def read_members(text: bytes) -> Any:
    """Read JSON whose objects have each name once (RFC 7519 §4, RFC 7515 §4).

    Raises:
        ValueError: It is no JSON in UTF-8, nested too deeply, or has a name twice.
    """
    try:
        return _DECODER.decode(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_refuse_twins)
