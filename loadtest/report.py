"""The report: a pure function from a result to one HTML page that needs nothing else, in light and in dark."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib import resources

from loadtest.figures import write_number
from loadtest.plots import Line, Plot, draw_plot
from loadtest.result import Figure, Latency, Percentile, Result, Second

__all__ = ["render_report"]

# Which percentiles the distribution plot labels.
_LABELLED = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def render_report(result: Result) -> str:
    """Render the whole page."""
    title = escape(result.title)
    parts = [
        f'<h1>{title}</h1><p class="sub">{escape(result.started_at)} · {escape(str(result.settings.get("url", "")))}</p>',
        f'<section class="tiles">{"".join(_tile(figure) for figure in result.figures)}</section>',
        _verdict(result),
        _warnings(result),
        f'<h2>Over time</h2><section class="plots">{"".join(draw_plot(plot) for plot in _plots(result))}</section>',
        f'<h2>In numbers</h2><section class="tables">{"".join(_tables(result))}</section>',
        "<footer>Figures of one run on one machine: compare ratios, pin server and swarm to different cores, and repeat. "
        "Written by heliograph loadtest; result.json beside this page holds all values.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>\n{_style()}</style></head>\n<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n"
    )


@cache
def _style() -> str:
    return resources.files("loadtest").joinpath("report.css").read_text(encoding="utf-8")


def _tile(figure: Figure) -> str:
    note = f'<div class="note">{escape(figure.note)}</div>' if figure.note else ""
    value = f"{write_number(figure.value)} <small>{escape(figure.unit)}</small>"
    return f'<div class="tile"><div class="name">{escape(figure.name)}</div><div class="value">{value}</div>{note}</div>'


def _verdict(result: Result) -> str:
    """Failures stand before every plot: fast and wrong is wrong."""
    if not result.failures:
        text = "No failures." if result.is_complete else "No failures in the part that ran."
        return f'<section class="box verdict"><p>✓ {text}</p></section>'
    items = "".join(
        f'<li><b>{failure.count:,}</b> × {escape(failure.name)} <span class="soft">{escape(failure.meaning)}</span></li>'
        for failure in result.failures
    )
    return f'<section class="box verdict bad"><p><b>✗ There were failures</b></p><ul>{items}</ul></section>'


def _warnings(result: Result) -> str:
    texts = list(result.warnings)
    if not result.is_complete:
        texts.insert(0, "The run ended early: the figures are of the part that ran.")
    if not texts:
        return ""
    return f'<section class="box warnings"><ul>{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul></section>'


def _plots(result: Result) -> Iterable[Plot]:
    seconds = _shown(result)
    shaded = _shaded(seconds)
    throughput = [
        Line(name.replace("_", " "), [(second.at_s, float(second.counts.get(name, 0))) for second in seconds])
        for name in result.plotted
    ]
    yield Plot("Throughput", result.unit, throughput, is_filled=len(throughput) == 1, shaded=shaded)
    main = result.latencies[0].name if result.latencies else "Latency"
    over_time = [
        Line("p50", [(second.at_s, second.p50_ms) for second in seconds]),
        Line("p99", [(second.at_s, second.p99_ms) for second in seconds]),
    ]
    yield Plot(f"Latency: {main}", "ms", over_time, is_log=True, shaded=shaded)
    yield _distribution(result.latencies)
    if any(second.connected for second in seconds):
        connected = [Line("connected", [(second.at_s, float(second.connected)) for second in seconds])]
        yield Plot("Clients", "connected", connected, shaded=shaded)
    if result.server:
        cpu = [Line("CPU", [(sample.at_s, sample.cpu_percent) for sample in result.server if sample.at_s >= 0])]
        memory = [Line("memory", [(sample.at_s, sample.rss_mib) for sample in result.server if sample.at_s >= 0])]
        yield Plot("Server CPU", "% of one core", cpu, is_filled=True)
        yield Plot("Server memory", "MiB resident", memory, is_filled=True)


def _shown(result: Result) -> list[Second]:
    """The seconds without the silent ones after the run."""
    shown = list(result.seconds)
    while shown and not shown[-1].is_measured and not any(shown[-1].counts.get(name) for name in result.plotted):
        shown.pop()
    return shown


def _shaded(seconds: list[Second]) -> list[tuple[float, float]]:
    """The stretches of seconds that do not count, at both ends."""
    last = float(max((second.at_s for second in seconds), default=0))
    return [
        (max(0.0, at_s - 0.5), min(last, at_s + 0.5)) for at_s in (second.at_s for second in seconds if not second.is_measured)
    ]


def _distribution(latencies: Sequence[Latency]) -> Plot:
    """Percentiles over an axis on which every further nine takes the same room."""
    lines = [
        Line(latency.name, [(_nines(found.percent), found.value_ms) for found in _carried(latency) if found.percent < 100])
        for latency in latencies
    ]
    reached = max((x for line in lines for x, _ in line.points), default=0.0)
    ticks = [(_nines(percent), f"{percent:g} %") for percent in _LABELLED if _nines(percent) <= reached + 1e-9]
    return Plot("Latency distribution", "ms", lines, x_label="percentile", x_ticks=ticks, is_log=True)


def _carried(latency: Latency) -> list[Percentile]:
    """The percentiles that at least one value lies beyond, and the largest: the others only repeat it."""
    return [found for found in latency.percentiles if found.percent == 100 or latency.count * (100 - found.percent) >= 100]


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _tables(result: Result) -> Iterable[str]:
    for latency in result.latencies:
        rows = [(f"p{found.percent:g}", f"{write_number(found.value_ms)} ms") for found in _carried(latency) if found.percent]
        yield _table(latency.name, rows, note=f"{latency.meaning} {latency.count:,} values.")
    if result.spread:
        yield _spread_table(result)
    yield _table("settings", [(name, "–" if value is None else str(value)) for name, value in result.settings.items()])
    place = result.environment
    rows = [
        ("CPU", place.cpu),
        ("cores", str(place.cores)),
        ("memory", "–" if place.memory_gib is None else f"{place.memory_gib:g} GiB"),
        ("system", place.system),
        ("python", place.python),
        *place.versions.items(),
        ("server", place.server or "–"),
    ]
    yield _table("environment", rows)


def _spread_table(result: Result) -> str:
    head = "".join(f'<th class="number">{escape(spread.name.replace("_", " "))}/s</th>' for spread in result.spread)
    rows = "".join(
        f"<tr><th>{name}</th>"
        + "".join(f'<td class="number">{write_number(getattr(spread, name))}</td>' for spread in result.spread)
        + "</tr>"
        for name in ("lowest", "median", "highest", "deviation")
    )
    seconds = result.spread[0].seconds
    return (
        f'<div class="box"><h3>spread</h3><p>Over {seconds} measured second{"s" if seconds != 1 else ""}.</p>'
        f"<table><tr><th></th>{head}</tr>{rows}</table></div>"
    )


def _table(title: str, rows: Iterable[tuple[str, str]], *, note: str = "") -> str:
    body = "".join(f'<tr><th>{escape(name)}</th><td class="value">{escape(value)}</td></tr>' for name, value in rows)
    about = f"<p>{escape(note)}</p>" if note else ""
    return f'<div class="box"><h3>{escape(title)}</h3>{about}<table>{body}</table></div>'
