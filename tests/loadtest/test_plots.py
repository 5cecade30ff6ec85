"""Plots are well-formed SVG whatever the values."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest.plots import Line, Plot, draw_plot, write_value

SVG = "{http://www.w3.org/2000/svg}"
values = st.none() | st.floats(0, 1e12) | st.floats(1e-6, 1e3)


@given(st.lists(values, min_size=1, max_size=30), st.booleans())
@example([5e-324], False)
@example([5e-324, 1e12], True)
def test_every_positive_value_is_a_point_inside_the_picture(ys: list[float | None], is_log: bool) -> None:
    drawn = draw_plot(Plot("t", "ms", [Line("l", list(enumerate(ys)))], is_log=is_log))
    figure = ET.fromstring(drawn)
    points = figure.findall(f".//{SVG}circle")
    shown = [y for y in ys if y is not None]
    if any(y > 0 or not is_log for y in shown):
        assert len(points) == len(shown)
    for point in points:
        assert 0 <= float(point.attrib["cx"]) <= 720
        assert 0 <= float(point.attrib["cy"]) <= 270


def test_names_cannot_break_out_of_the_page() -> None:
    drawn = draw_plot(Plot('<b>"', "<i>", [Line("</svg><script>", [(0, 1.0)])]))
    ET.fromstring(drawn)
    assert "<script>" not in drawn


def test_a_gap_parts_the_line() -> None:
    drawn = draw_plot(Plot("t", "ms", [Line("l", [(0, 1.0), (1, None), (2, 3.0)])]))
    assert drawn.count("<polyline") == 2


def test_nothing_measured_is_said_in_words() -> None:
    assert "nothing was measured" in draw_plot(Plot("t", "ms", [Line("l", [(0, None)])], is_log=True))


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.25, "0.25"), (12, "12"), (20_000, "20 k"), (1_500_000, "1.5 M")])
def test_axis_values_are_short(value: float, text: str) -> None:
    assert write_value(value) == text
