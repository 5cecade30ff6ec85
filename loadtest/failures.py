"""Failures of the network in words that are the same for every loop, so that equal ones are counted together."""

import asyncio
import os

__all__ = ["describe_failure"]


def describe_failure(exc: Exception) -> str:
    """Say what happened in the system's words, without addresses and numbers."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, asyncio.IncompleteReadError):
        return "the connection was closed before the whole answer came"
    if isinstance(exc, OSError) and exc.errno and exc.errno > 0:
        return os.strerror(exc.errno)
    return str(exc) or type(exc).__name__
