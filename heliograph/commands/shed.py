"""`heliograph shed`: take load off a node by sending a share of its clients elsewhere, through the HTTP API."""

from pathlib import Path

import click

from config.durations import parse_duration
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.groups import RichCommand

__all__ = ["shed"]


def _read_spread(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return parse_duration(f"{value}s" if value.isdecimal() else value)
    except ValueError as exc:
        raise click.BadParameter(f'{exc}, or whole seconds (got "{value}")', ctx, param) from None


@click.command(cls=RichCommand)
@click.option(
    "--share", type=click.FloatRange(0, 1, min_open=True), required=True, help="How many of its clients: 0.1 is a tenth."
)
@click.option("--node", default="", help="Name or uid of the node, as the API's `info` tells them; every node without it.")
@click.option("--spread", callback=_read_spread, default="10s", show_default=True, help="Over how long they are told.")
@api_options
def shed(share: float, node: str, spread: float, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Send a share of a node's clients away, gently; SDKs connect anew, to wherever the load balancer sends them."""
    request = {"node": node, "share": share, "spread_s": spread}
    key = api_key if api_key is not None else configured_key(file, dev)
    for entry in call_api(url, key, "shed", request)["nodes"]:
        click.echo(f"{entry['name']} sends away {entry['num_clients']} clients")
