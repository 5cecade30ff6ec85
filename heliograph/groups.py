"""How commands are found, helped and refused: late imports, help by rich, and one line for each error of use."""

import importlib
import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from io import StringIO
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["LateCommand", "LateGroup", "RichCommand", "RichGroup"]

# Distributions of the extra `simulators`, by the module that is missed without them.
_SIMULATOR_MODULES = frozenset({"aiosmtpd", "h2", "psutil"})


class LateCommand(msgspec.Struct, frozen=True):
    """Where a command lives (`module:attribute`), and the line about it in the help, which needs no import."""

    target: str
    summary: str


class _RichHelp:
    """Writes help as tables; without escape codes where the output is no terminal."""

    def get_help(self, ctx: click.Context) -> str:
        command = ctx.command
        buffer = StringIO()
        terminal = Console()
        console = Console(
            file=buffer, force_terminal=terminal.is_terminal, width=min(terminal.width, 110), highlight=False, soft_wrap=False
        )
        console.print(Text.assemble(("Usage: ", "bold"), " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])))
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            if paragraph:
                console.print(Text("\n" + _flow(paragraph)))
        if isinstance(command, click.Group):
            names = command.list_commands(ctx)
            _print_rows(console, "Commands", [(name, _summary(command, ctx, name)) for name in names])
        records = [record for param in command.get_params(ctx) if (record := param.get_help_record(ctx)) and record[1]]
        _print_rows(console, "Options", records)
        return buffer.getvalue().rstrip("\n")


class RichCommand(_RichHelp, click.Command):
    """A command with rich help."""


class RichGroup(_RichHelp, click.Group):
    """A group with rich help, which names the command that was probably meant."""

    command_class = RichCommand

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command '{name}'." + (f" Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)


class LateGroup(RichGroup):
    """A group whose commands are imported when they are called."""

    def __init__(self, *args: Any, late: Mapping[str, LateCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late = late

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._late)

    def summary(self, name: str) -> str:
        """Tell the line about a command."""
        return self._late[name].summary

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        late = self._late.get(cmd_name)
        if late is None:
            return None
        module, _, attribute = late.target.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as exc:
            if (exc.name or "").partition(".")[0] not in _SIMULATOR_MODULES:
                raise
            raise click.UsageError(
                f"{cmd_name} needs the package {exc.name}: install it with the extra: pip install 'heliograph[simulators]'", ctx
            ) from None
        return command


def _flow(paragraph: str) -> str:
    """Make one line of a paragraph, which the console breaks where it must; after `\\b` lines stay as they are."""
    first, _, rest = paragraph.partition("\n")
    return rest if first == "\b" else " ".join(paragraph.split())


def _summary(group: click.Group, ctx: click.Context, name: str) -> str:
    if isinstance(group, LateGroup):
        return group.summary(name)
    command = group.get_command(ctx, name)
    return command.get_short_help_str(limit=200) if command else ""


def _print_rows(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    console.print(Text(f"\n{title}:", style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=True)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for name, about in rows:
        table.add_row(Text(name), Text(about))
    console.print(table)
