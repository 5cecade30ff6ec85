"""Failures of the network in words."""

import asyncio
import errno

import pytest

from loadtest.failures import describe_failure


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (TimeoutError(), "no answer in time"),
        (asyncio.IncompleteReadError(b"", 5), "the connection was closed before the whole answer came"),
        (ValueError("odd"), "odd"),
        (EOFError(), "EOFError"),
    ],
)
def test_failures_are_told_in_the_same_words_everywhere(failure: Exception, text: str) -> None:
    assert describe_failure(failure) == text
