"""Where a command takes its settings from: `--config FILE` or `--dev`, and the environment in both cases."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from config.loader import NOTHING, LoadedSettings, load_with_origins
from heliograph.development import Development, open_development

__all__ = ["Source", "file_option", "load_from", "source_options"]

F = TypeVar("F", bound=Callable[..., Any])


class Source(msgspec.Struct, frozen=True):
    """Settings, where each came from, and what development mode knows beside them (None outside it)."""

    loaded: LoadedSettings
    development: Development | None


def source_options(command: F) -> F:
    """Give a command the options that choose its settings."""
    command = click.option("--dev", is_flag=True, help="Development mode: secrets and data in ./data, loopback only.")(command)
    return file_option(command)


def file_option(command: F) -> F:
    """Give a command the option that names its settings file."""
    return click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        envvar="HELIOGRAPH_CONFIG",
        help="Settings file in TOML; HELIOGRAPH_… variables win over it.",
    )(command)


def load_from(file: Path | None, dev: bool, overrides: Mapping[str, Any] = NOTHING) -> Source:
    """Load the settings that the options of the running command choose.

    `--dev` passes over a file that only HELIOGRAPH_CONFIG names.

    Raises:
        SettingsError: They cannot be used.
        click.UsageError: Both sources were asked for.
    """
    if not dev:
        return Source(load_with_origins(file, overrides=overrides), None)
    if file is not None and click.get_current_context().get_parameter_source("file") is not ParameterSource.ENVIRONMENT:
        raise click.UsageError("--config and --dev exclude each other")
    development = open_development(overrides=overrides)
    return Source(development.load(), development)
