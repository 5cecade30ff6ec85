"""Line plots as SVG text, drawn by our own few rules; colours are classes that the page's style fills in.

Axes end at round numbers (1, 2, 5 times a power of ten). Every point carries a title, so that a pointer over it tells
its values without any script.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

import msgspec

__all__ = ["Line", "Plot", "draw_plot", "write_value"]

_WIDTH, _HEIGHT = 720, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 40
# Smaller values than this (no unit of ours means them) are drawn as if they were it.
_LEAST = 1e-9


class Line(msgspec.Struct, frozen=True):
    """A named line; a y of None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Plot(msgspec.Struct, frozen=True):
    """What to draw. `x_ticks` are (position, label); without them the x axis is seconds. `shaded` spans did not count."""

    title: str
    unit: str
    lines: Sequence[Line]
    x_label: str = "seconds"
    x_ticks: Sequence[tuple[float, str]] = ()
    is_log: bool = False
    is_filled: bool = False
    shaded: Sequence[tuple[float, float]] = ()


class _Scale(msgspec.Struct, frozen=True):
    """From values to pixels, in both directions of the plane, with the ticks of the y axis."""

    x: Callable[[float], float]
    y: Callable[[float], float]
    y_ticks: Sequence[float]
    x_ticks: Sequence[tuple[float, str]]


def draw_plot(plot: Plot) -> str:
    """Draw a plot as one `<figure>`; a plot without values says so in words."""
    values = [y for line in plot.lines for _, y in line.points if y is not None and (y > 0 or not plot.is_log)]
    legend = "".join(f'<span class="key s{number}">{escape(line.name)}</span>' for number, line in enumerate(plot.lines))
    head = f'<figcaption><b>{escape(plot.title)}</b> <span class="unit">{escape(plot.unit)}</span>{legend}</figcaption>'
    if not values:
        return f'<figure>{head}<p class="empty">nothing was measured</p></figure>'
    scale = _make_scale(plot, values)
    parts = [_draw_shades(plot, scale), _draw_axes(plot, scale)]
    parts += [_draw_line(plot, line, number, scale) for number, line in enumerate(plot.lines)]
    return (
        f'<figure>{head}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(plot.title, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg></figure>'
    )


def write_value(value: float) -> str:
    """Write an axis or point value shortly: 1.5 M, 20 k, 12, 0.25."""
    for factor, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{suffix}"
    return f"{value:.3g}"


def _make_scale(plot: Plot, values: list[float]) -> _Scale:
    xs = [x for line in plot.lines for x, _ in line.points]
    x_low, x_high = min(0.0, *xs), max(xs)
    x_span = (x_high - x_low) or 1.0
    low, high = max(min(values), _LEAST), max(*values, _LEAST)
    ticks = _log_ticks(low, high) if plot.is_log else _even_ticks(high if any(values) else 0.0)
    measure: Callable[[float], float] = (lambda y: math.log10(max(y, ticks[0]))) if plot.is_log else (lambda y: y)
    y_low, y_high = measure(ticks[0]), measure(ticks[-1])
    x_ticks = plot.x_ticks or [(tick, write_value(tick)) for tick in _even_ticks(x_high) if tick <= x_high]
    return _Scale(
        x=lambda x: _LEFT + (x - x_low) / x_span * (_WIDTH - _LEFT - _RIGHT),
        y=lambda y: _TOP + (y_high - measure(y)) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM),
        y_ticks=ticks,
        x_ticks=x_ticks,
    )


def _even_ticks(highest: float) -> list[float]:
    """Round steps from 0 to the first one above `highest`, some five of them."""
    rough = (highest or 1.0) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    # A line along the upper edge is hard to see: a maximum that nearly reaches it gets another step.
    return [step * number for number in range(math.ceil(highest / step + 0.05) + 1)] if highest else [0.0, 1.0]


def _log_ticks(lowest: float, highest: float) -> list[float]:
    """1, 2, 5 of every power of ten around the values; powers alone when they span many."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    low = max((index for index, tick in enumerate(ticks) if tick <= lowest), default=0)
    high = min((index for index, tick in enumerate(ticks) if tick >= highest), default=len(ticks) - 1)
    return ticks[low : max(high, low + 1) + 1]


def _draw_shades(plot: Plot, scale: _Scale) -> str:
    return "".join(
        f'<rect class="shade" x="{scale.x(low):.1f}" y="{_TOP}" width="{max(0.0, scale.x(high) - scale.x(low)):.1f}" '
        f'height="{_HEIGHT - _TOP - _BOTTOM}"><title>does not count: warm-up or draining</title></rect>'
        for low, high in plot.shaded
    )


def _draw_axes(plot: Plot, scale: _Scale) -> str:
    parts: list[str] = []
    for tick in scale.y_ticks:
        y = scale.y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{write_value(tick)}</text>')
    bottom = _HEIGHT - _BOTTOM
    for position, label in scale.x_ticks:
        x = scale.x(position)
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        anchor = "end" if x > _WIDTH - _RIGHT - 20 and len(label) > 3 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{escape(label)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(plot.x_label)}</text>')
    return "".join(parts)


def _draw_line(plot: Plot, line: Line, number: int, scale: _Scale) -> str:
    """Draw the pieces between gaps, an area under them where asked, and a point with a title for each value."""
    parts: list[str] = []
    for piece in _pieces(line.points):
        path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in piece)
        if plot.is_filled:
            bottom = _HEIGHT - _BOTTOM
            area = f"{scale.x(piece[0][0]):.1f},{bottom} {path} {scale.x(piece[-1][0]):.1f},{bottom}"
            parts.append(f'<polygon class="area s{number}" points="{area}"/>')
        parts.append(f'<polyline class="line s{number}" points="{path}"/>')
        parts += [_draw_point(plot, line.name, number, x, y, scale) for x, y in piece]
    return "".join(parts)


def _draw_point(plot: Plot, name: str, number: int, x: float, y: float, scale: _Scale) -> str:
    where = next((label for position, label in plot.x_ticks if position == x), write_value(x))
    title = escape(f"{name} at {where}: {write_value(y)} {plot.unit}")
    return (
        f'<circle class="point s{number}" cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2.5"><title>{title}</title></circle>'
    )


def _pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]
