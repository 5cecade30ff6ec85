"""`heliograph config`: settings before they are used."""

import json
from pathlib import Path

import click

from config.display import show_settings
from config.errors import SettingsError
from config.readiness import advise, check_ready
from config.schema import json_schema
from heliograph.checking import advise_on_roles, problems_of_providers, problems_of_rules
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand, RichGroup

__all__ = ["config"]


@click.group(cls=RichGroup)
def config() -> None:
    """Check, show and describe settings."""


@config.command(cls=RichCommand)
@source_options
def check(file: Path | None, dev: bool) -> None:
    """Tell whether a server would start with these settings, and what is probably not meant."""
    settings = load_from(file, dev).loaded.settings
    if problems := check_ready(settings) + problems_of_rules(settings) + problems_of_providers(settings):
        raise SettingsError(problems)
    for line in (*advise(settings), *advise_on_roles(settings)):
        click.echo(f"warning: {line}", err=True)
    click.echo("The settings are good.")


@config.command(cls=RichCommand)
@source_options
@click.option("--all", "everything", is_flag=True, help="Show defaults too.")
def show(file: Path | None, dev: bool, everything: bool) -> None:
    """Show the settings that hold and where each came from; secrets are hidden."""
    for setting in show_settings(load_from(file, dev).loaded):
        if setting.origin:
            click.echo(f"{setting.path} = {setting.value}  # {setting.origin}")
        elif everything:
            click.echo(f"{setting.path} = {setting.value}")


@config.command(cls=RichCommand)
def schema() -> None:
    """Print the JSON schema of a settings file."""
    click.echo(json.dumps(json_schema(), indent=2))
