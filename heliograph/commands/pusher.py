"""`heliograph pusher`: the notification pipeline alone."""

from pathlib import Path

import click

from heliograph.commands.serving import listening_options, start
from heliograph.commands.sources import file_option
from heliograph.groups import RichCommand
from heliograph.roles import PUSHER

__all__ = ["pusher"]


@click.command(cls=RichCommand)
@file_option
@listening_options
def pusher(file: Path | None, host: str | None, port: int | None) -> int:
    """Send the notifications that gateways accept; any number of pushers share the work.

    Its port (pusher.port) answers /health, /health/ready and /metrics only.
    """
    return start(PUSHER, file, host, port)
