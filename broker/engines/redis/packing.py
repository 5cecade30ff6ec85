"""Commands as the server reads them."""

from typing import Any

import hiredis

__all__ = ["Argument", "pack"]

Argument = str | bytes | int | float


def pack(*args: Argument) -> bytes:
    """Write one command; texts become UTF-8, numbers their shortest decimal form."""
    loose: Any = args  # the library's stub knows of one argument only
    return bytes(hiredis.pack_command(loose))
