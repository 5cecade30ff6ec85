"""`heliograph statistics`: what became of notifications, as a table, through the HTTP API."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from config.clock import SystemClock
from config.durations import parse_duration
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.groups import RichCommand

__all__ = ["statistics"]

_BY: Final = ("category", "priority", "experiment", "variant", "route", "provider", "hour", "day")
_COUNTS: Final = ("accepted", "sent", "delivered", "opened", "seen", "clicked")
_MOMENTS: Final = {"hour": "%Y-%m-%dT%H:%MZ", "day": "%Y-%m-%d"}
# Where the output is no terminal nothing is to be cut.
_WIDE: Final = 400


def _read_last(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


@click.command(cls=RichCommand)
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(_BY),
    metavar="NAME",
    help=f"What is told apart, of {', '.join(_BY)}; may be given several times.",
)
@click.option("--last", callback=_read_last, default="24h", show_default=True, help="How far back, up to 9600h.")
@click.option("--from", "since", default="", help="From the hour of this moment on, instead of --last: 2026-01-31T00:00:00Z.")
@click.option("--to", "until", default="", help="To the end of the hour before this moment; now without it.")
@click.option("--category", help="Only those of a category.")
@click.option("--priority", help="Only those of a priority.")
@click.option("--experiment", help="Only those of an experiment.")
@click.option("--variant", help="Only those of a variant.")
@click.option("--route", help="Only what came of them on a route.")
@click.option("--provider", help="Only what came of them at a provider.")
@click.option("--json", "as_json", is_flag=True, help="The API's answer as it is.")
@api_options
def statistics(
    by: tuple[str, ...],
    last: float,
    since: str,
    until: str,
    as_json: bool,
    url: str,
    api_key: str | None,
    file: Path | None,
    dev: bool,
    **filters: str | None,
) -> None:
    """Count what became of notifications, by the hour in which they were accepted."""
    request: dict[str, Any] = {"by": list(by), **{name: value for name, value in filters.items() if value is not None}}
    if until:
        request["to"] = until
    request["from"] = since or _end(until) - last
    key = api_key if api_key is not None else configured_key(file, dev)
    answer = call_api(url, key, "notification_statistics", request)
    if as_json:
        click.echo(json.dumps(answer))
        return
    _print(answer)


def _end(until: str) -> float:
    if not until:
        return SystemClock().now().timestamp()
    try:
        return datetime.fromisoformat(until).astimezone(UTC).timestamp()
    except ValueError:
        raise click.BadParameter("must be a moment such as 2026-01-31T00:00:00Z", param_hint="--to") from None


def _print(answer: Mapping[str, Any]) -> None:
    groups: Sequence[Mapping[str, Any]] = answer["groups"]
    names = [name for name in _BY if groups and name in groups[0]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, style="cyan", no_wrap=True)
    for name in (*_COUNTS, "failed", "user/system/business", "to sent p50", "p95", "to seen p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    currency = answer.get("currency")
    if currency is not None:
        table.add_column(f"cost {currency}", justify="right", no_wrap=True)
    for group in groups:
        cost = () if currency is None else (_cost(group.get("cost")),)
        table.add_row(*(_named(name, group[name]) for name in names), *_cells(group), *cost)
    terminal = Console()
    console = Console(width=None if terminal.is_terminal else _WIDE, highlight=False)
    if groups:
        console.print(table)
    else:
        click.echo("There are none.")
    if not answer["is_complete"]:
        click.echo("There was too much to count: some of the end is missing.", err=True)


def _named(name: str, value: Any) -> str:
    if name in _MOMENTS:
        return datetime.fromtimestamp(value, UTC).strftime(_MOMENTS[name])
    return str(value) or "-"


def _cells(group: Mapping[str, Any]) -> list[str]:
    failed = group["failed"]
    cells = [str(group[name]) for name in _COUNTS]
    cells += [str(sum(failed.values())), "/".join(str(failed[name]) for name in ("user", "system", "business"))]
    for name in ("time_to_sent", "time_to_seen"):
        cells += [_shown(group.get(name, {}).get(share)) for share in ("p50_s", "p95_s")]
    return cells


def _cost(cost: float | None) -> str:
    """Write a sum for people: to the hundredth, and small ones with three digits."""
    if cost is None:
        return "-"
    return f"{cost:.2f}" if cost >= 1 or not cost else f"{cost:.3g}"


def _shown(seconds: float | None) -> str:
    """Write a duration for people, with three digits."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
