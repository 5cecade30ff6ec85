"""`heliograph serve`: one process with everything."""

from pathlib import Path

import click

from config.errors import SettingsError
from config.readiness import check_ready
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand

__all__ = ["serve"]


@click.command(cls=RichCommand)
@source_options
@click.option("--host", help="Address to listen on; wins over http.host.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="Port to listen on; wins over http.port.")
def serve(file: Path | None, dev: bool, host: str | None, port: int | None) -> int:
    """Serve clients, the HTTP API and the notification pipeline in one process.

    With --dev it generates its secrets, simulates the push providers and prints how to try it out.
    """
    flags = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    source = load_from(file, dev, {"http": flags} if flags else {})
    if problems := check_ready(source.loaded.settings):
        raise SettingsError(problems)
    from heliograph.serve import run

    return run(source.loaded.settings, development=source.development)
