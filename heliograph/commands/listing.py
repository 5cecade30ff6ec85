"""How commands list what a server told: a line for each, and a word where there is none."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import click

__all__ = ["echo_items"]


def echo_items(items: Iterable[dict[str, Any]], line: Callable[[dict[str, Any]], str], *, as_json: bool = False) -> None:
    """Print each item as soon as it comes; that there is none stands on standard error, so that programs read nothing."""
    is_none = True
    for item in items:
        is_none = False
        click.echo(json.dumps(item) if as_json else line(item))
    if is_none and not as_json:
        click.echo("There are none.", err=True)
