"""`heliograph admin`: what the operator's page needs that nobody should type into a file by hand."""

import sys

import click

from gateway.admin.passwords import PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS, hash_password
from heliograph.groups import RichCommand, RichGroup

__all__ = ["admin"]


@click.group(cls=RichGroup)
def admin() -> None:
    """Prepare the operator's page at /admin."""


@admin.command("hash-password", cls=RichCommand)
def hash_password_command() -> None:
    """Ask for a password and print what `password_hash` of [[admin.users]] takes.

    It is asked for twice on a terminal; else it is the one line on standard input.
    """
    password = _ask() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if len(password) < PASSWORD_MIN_CHARS:
        raise click.UsageError(f"a password must have at least {PASSWORD_MIN_CHARS} characters")
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        raise click.UsageError(f"a password must have at most {PASSWORD_MAX_BYTES} bytes")
    click.echo(hash_password(password))


def _ask() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    return password
