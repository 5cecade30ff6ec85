"""Durations: text outside, seconds inside."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from config.durations import Duration, format_duration, parse_duration

DURATION = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("300ms", 0.3),
        ("25s", 25.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("720h", 2_592_000.0),
        ("1h30m", 5400.0),
        ("1h1m1s1ms", 3661.001),
        ("30m1h", 5400.0),  # largest first is a convention
        ("007s", 7.0),
    ],
)
def test_numbers_with_units_are_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)
    assert DURATION.validate_python(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "ms",
        "5 s",
        " 5s",
        "5s ",
        "5s\n",
        "-5s",
        "+5s",
        "1d",
        "5S",
        "1,5s",
        "1.s",
        ".5s",
        "5s5",
        "1e3s",
        "٥s5",
        "x5s",
    ],
)
def test_another_text_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='must be a duration such as "300ms", "25s" or "720h"'):
        parse_duration(text)
    with pytest.raises(ValidationError):
        DURATION.validate_python(text)


@pytest.mark.parametrize("value", ["1000000h", "9" * 400 + "s"])
def test_a_duration_beyond_all_use_is_refused(value):
    with pytest.raises(ValueError, match="at most 100 years"):
        parse_duration(value)


@given(st.text() | st.text(alphabet="0123456789.hms ", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text):
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.001, "1ms"),
        (0.0005, "0.5ms"),
        (1000.5005, "1000500.5ms"),
        (8589934.593, "8589934593ms"),
        (0.3, "300ms"),
        (1.5, "1500ms"),
        (25, "25s"),
        (90, "90s"),
        (300, "5m"),
        (3600, "1h"),
        (5400, "90m"),
    ],
)
def test_seconds_are_written_in_the_largest_whole_unit(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_as_the_same(milliseconds):
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(hours, minutes, seconds, milliseconds):
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert parse_duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)


@pytest.mark.parametrize(("value", "seconds"), [(0, 0.0), (7, 7.0), (0.25, 0.25)])
def test_a_bare_number_counts_as_seconds(value, seconds):
    validated = DURATION.validate_python(value)
    assert (validated, type(validated)) == (seconds, float)


@pytest.mark.parametrize("value", [True, False, None, -1, -0.5, [], {}, b"5s", float("nan"), float("inf"), 10**400])
def test_other_values_are_refused(value):
    with pytest.raises(ValidationError, match="duration"):
        DURATION.validate_python(value)


def test_the_schema_speaks_of_text():
    schema = DURATION.json_schema()
    assert schema["type"] == "string"
    assert schema["examples"] == ["25s"]


@given(st.text(alphabet="0123456789.hms", max_size=6))  # too short for a hundred years
def test_the_schemas_pattern_agrees_with_the_parser(text):
    matches = re.search(DURATION.json_schema()["pattern"], text) is not None
    try:
        parse_duration(text)
    except ValueError:
        assert not matches
    else:
        assert matches
