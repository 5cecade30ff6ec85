"""The address at which the world reaches something of ours, as settings name it."""

import re
from urllib.parse import urlsplit

__all__ = ["check_public_url"]


def check_public_url(value: str) -> str:
    """Give an address back without a slash at its end; empty stays empty.

    Raises:
        ValueError: It is no https address, or holds more than host and path. Plain http is for trying things out on this
            machine.
    """
    if not value:
        return value
    try:
        parts = urlsplit(value)
        _ = parts.port
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))
        is_plain = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        is_safe = is_plain = False
    if not (is_safe and is_plain and re.fullmatch(r"[!-~]{1,255}", value)):
        raise ValueError("must be an https address without query and fragment, at most 255 characters")
    return value.rstrip("/")
