"""What is seen while a run lasts: a small live table in a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from loadtest.figures import write_number
from loadtest.result import Result
from loadtest.session import Snapshot

__all__ = ["show_progress", "show_result"]

_FRAME_S = 0.25
_LINE_S = 1.0


async def show_progress(console: Console, title: str, snapshot: Callable[[], Snapshot]) -> None:
    """Show snapshots until cancelled."""
    if console.is_terminal:
        with Live(_panel(title, snapshot()), console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(_panel(title, snapshot()), refresh=True)
                await asyncio.sleep(_FRAME_S)
    while True:
        console.print(_line(snapshot()), markup=False, highlight=False, soft_wrap=True)
        await asyncio.sleep(_LINE_S)


def show_result(console: Console, result: Result, files: list[str]) -> None:
    """Print the headlines, failures and warnings, and where the whole report is."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for figure in result.figures:
        table.add_row(figure.name, f"[bold]{write_number(figure.value)}[/] {figure.unit}")
    console.print(table)
    for failure in result.failures:
        meaning = f" ({failure.meaning})" if failure.meaning else ""
        console.print(f"[red]✗[/] {failure.count:,} × {escape(failure.name + meaning)}", highlight=False, soft_wrap=True)
    for warning in result.warnings:
        console.print(f"[yellow]![/] {escape(warning)}", highlight=False, soft_wrap=True)
    if not result.is_complete:
        console.print("[yellow]![/] ended early: the figures are of a part of the run")
    for name in files:
        console.print(name, markup=False, highlight=False, soft_wrap=True)


def _panel(title: str, snapshot: Snapshot) -> Panel:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in snapshot.figures.items():
        table.add_row(f"[dim]{name}[/]", f"[bold]{value}[/]")
    return Panel(table, title=f"{title} · {snapshot.stage}", title_align="left", border_style="cyan", expand=False)


def _line(snapshot: Snapshot) -> str:
    figures = "  ".join(f"{name} {value}" for name, value in snapshot.figures.items())
    return f"{snapshot.stage:<12} {figures}".rstrip()
