"""Retry-After in both forms, and in none."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushers.providers.retry_after import MAX_RETRY_AFTER_S, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86400", 3600.0),
        ("9" * 400, 3600.0),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120.0),
        ("Thu, 01 Jan 2026 00:02:00 -0000", 120.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("Fri, 02 Jan 2026 00:00:00 GMT", 3600.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 99 Jan 2026 00:02:00 GMT", None),
    ],
)
def test_forms(text: str, expected: float | None) -> None:
    assert parse_retry_after(text, NOW) == expected
    assert parse_retry_after(text, NOW, 60.0) == (60.0 if expected is None else expected)


@given(st.text())
def test_any_text_is_read_or_not_understood(text: str) -> None:
    found = parse_retry_after(text, NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER_S
