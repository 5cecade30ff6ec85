"""What `serve`, `gateway` and `pusher` have in common: from options to a running process, or to the reasons why not."""

from pathlib import Path
from typing import Any

import click

from config.errors import SettingsError
from config.readiness import check_ready
from heliograph.commands.sources import F, load_from
from heliograph.roles import Role

__all__ = ["listening_options", "start", "workers_option"]


def listening_options(command: F) -> F:
    """Give a command the options that choose its port."""
    command = click.option(
        "--port", type=click.IntRange(0, 65535), metavar="PORT", help="Port to listen on; wins over the settings'."
    )(command)
    return click.option("--host", help="Address to listen on; wins over the settings'.")(command)


def workers_option(command: F) -> F:
    """Give a command the option that starts a supervisor."""
    return click.option(
        "--workers", type=click.IntRange(1, 256), metavar="N", help="Processes that share the port, under a supervisor."
    )(command)


def start(
    role: Role, file: Path | None, host: str | None, port: int | None, *, dev: bool = False, workers: int | None = None
) -> int:
    """Start a process of this role, or a supervisor of so many workers; returns the exit code.

    Raises:
        SettingsError: It cannot start; one line per reason.
    """
    flags = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = {role.port_section: flags} if flags else {}
    source = load_from(file, dev, overrides)
    settings = source.loaded.settings
    if problems := check_ready(settings, has_clients=role.has_clients) + role.problems(settings):
        raise SettingsError(problems)
    # Late, so that what is wrong with settings is told at once.
    if workers is not None:
        from heliograph.supervisor import supervise

        return supervise(settings, role, workers, file=file, overrides=overrides, development=source.development)
    from heliograph.serve import run

    return run(settings, role, development=source.development)
