"""`heliograph gateway`: connections and the HTTP API, without the pipeline."""

from pathlib import Path

import click

from heliograph.commands.serving import listening_options, start, workers_option
from heliograph.commands.sources import file_option
from heliograph.groups import RichCommand
from heliograph.roles import GATEWAY

__all__ = ["gateway"]


@click.command(cls=RichCommand)
@file_option
@listening_options
@workers_option
def gateway(file: Path | None, host: str | None, port: int | None, workers: int | None) -> int:
    """Serve clients and the HTTP API; notifications are sent by `heliograph pusher`.

    Gateways and pushers meet in the Redis or Valkey of broker.url and in the database of store.url.
    """
    return start(GATEWAY, file, host, port, workers=workers)
