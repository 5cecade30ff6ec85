"""`heliograph init`: a settings file for real use."""

import os
import secrets
from pathlib import Path

import click

from config.errors import SettingsError
from config.template import render_template
from heliograph.groups import RichCommand

__all__ = ["init"]


@click.command(cls=RichCommand)
@click.argument("file", type=click.Path(path_type=Path), default="heliograph.toml")
def init(file: Path) -> None:
    """Write a commented settings FILE with fresh secrets (heliograph.toml where none is named).

    It is readable by you only, and an existing file is never overwritten.
    """
    text = render_template(hmac_secret=secrets.token_urlsafe(48), api_key=secrets.token_urlsafe(24))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SettingsError([f"{file}: exists already and is left as it is; name another file, or move it away"]) from None
    except OSError as exc:
        raise SettingsError([f"{file}: cannot be written: {exc.strerror}"]) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    click.echo(f"Wrote {file} with a fresh token secret and API key.\nStart it by: heliograph serve --config {file}")
