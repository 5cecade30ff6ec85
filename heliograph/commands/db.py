"""`heliograph db`: the tables of the store."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from broker.errors import BadInput, StoreUnavailable
from broker.store.migration import Revisions
from broker.store.outbox_table import outbox_ddl
from broker.store.store import revisions_of, upgrade_store
from config.errors import SettingsError
from config.settings import StoreSettings
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand, RichGroup

__all__ = ["db"]

T = TypeVar("T")


@click.group(cls=RichGroup)
def db() -> None:
    """Bring the store's tables up to date, or look how they stand."""


@db.command(cls=RichCommand)
@source_options
def upgrade(file: Path | None, dev: bool) -> None:
    """Bring the tables up to date.

    May run while servers do, and at the same time as another upgrade: they take turns. Make a backup first.
    """
    store = _store(file, dev)
    before = _answer(upgrade_store(store.url, settings=store))
    if before.agree:
        click.echo(f"The store was up to date already, at revision {before.current}.")
    else:
        click.echo(f"The store went from {_name(before)} to revision {before.needed}.")


@db.command(cls=RichCommand)
@source_options
def current(file: Path | None, dev: bool) -> None:
    """Print the revision of the tables, and the one that this version needs."""
    store = _store(file, dev)
    revisions = _answer(revisions_of(store.url, settings=store))
    click.echo(f"store: {revisions.current or 'none'}")
    click.echo(f"needed: {revisions.needed}")


@db.command(cls=RichCommand)
@source_options
def check(file: Path | None, dev: bool) -> None:
    """Tell whether this version can work with the tables as they are; changes nothing."""
    store = _store(file, dev)
    revisions = _answer(revisions_of(store.url, settings=store))
    if revisions.is_newer:
        raise SettingsError(
            [f"store.url: the store is at revision {revisions.current}, which this version does not know: run the newer one"]
        )
    if not revisions.agree:
        raise SettingsError(
            [f"store.url: the store has {_name(revisions)}, needed is {revisions.needed}: run `heliograph db upgrade`"]
        )
    click.echo(f"The store is up to date, at revision {revisions.current}.")


@db.command(cls=RichCommand)
@click.option("--table", default="heliograph_outbox", show_default=True, help="What to call it: name or schema.name.")
def outbox(table: str) -> None:
    """Print the statements that make an outbox table, for your own migrations.

    A consumer then takes calls of the API from it, which you write in the transactions that change your data.
    """
    try:
        click.echo(outbox_ddl(table), nl=False)
    except BadInput as exc:
        raise click.UsageError(f"--table {exc.rule}", click.get_current_context()) from None


def _store(file: Path | None, dev: bool) -> StoreSettings:
    return load_from(file, dev).loaded.settings.store


def _name(revisions: Revisions) -> str:
    return f"revision {revisions.current}" if revisions.current else "no tables"


def _answer(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (BadInput, StoreUnavailable) as exc:
        text = str(exc).removeprefix("store.url: ")
        raise SettingsError([f"store.url: {text}"]) from None
