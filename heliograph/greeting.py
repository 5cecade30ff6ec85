"""What a server says when it has started: where it is, on standard output; and advice, in the log."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click

from config.logs import get_logger
from config.readiness import advise
from config.settings import Settings
from heliograph.development import Development, banner
from heliograph.roles import Role

__all__ = ["greet"]

_log = get_logger()


def greet(
    settings: Settings,
    role: Role,
    development: Development | None,
    *,
    port: int,
    operations_port: int = 0,
    notes: Sequence[str] = (),
) -> None:
    """Print it, flushed; before the port answers, so that whoever waits for either has both.

    Args:
        port: The port that is listened on, which settings need not know.
        operations_port: Where operators have a port of their own; 0 for nowhere.
        notes: Further lines.
    """
    if development is not None:
        http = settings.http.model_copy(update={"port": port})
        shown = settings.model_copy(update={"http": http})
        click.echo(banner(shown, development, operations_port=operations_port), nl=False)
    else:
        host = settings.http.host if role.has_clients else settings.pusher.host
        does = "serves" if role.has_clients else "pushes; health and metrics at"
        scheme = "https" if settings.http.tls.is_on else "http"
        click.echo(f"heliograph {version('heliograph')} {does} {scheme}://{host}:{port}")
    for note in notes:
        click.echo(note)
    sys.stdout.flush()
    for line in (*advise(settings), *role.advice(settings)):
        _log.warning("settings.advice", advice=line)
