"""`heliograph serve`: everything, in one process or in several workers."""

from pathlib import Path

import click

from heliograph.commands.serving import listening_options, start, workers_option
from heliograph.commands.sources import source_options
from heliograph.groups import RichCommand
from heliograph.roles import SERVE

__all__ = ["serve"]


@click.command(cls=RichCommand)
@source_options
@listening_options
@workers_option
def serve(file: Path | None, dev: bool, host: str | None, port: int | None, workers: int | None) -> int:
    """Serve clients, the HTTP API and the notification pipeline.

    With --dev it generates its secrets, simulates the push providers and prints how to try it out. With --workers it uses
    several cores; where no Redis is configured, the workers share an embedded Valkey (extra `embedded`).
    """
    return start(SERVE, file, host, port, dev=dev, workers=workers)
