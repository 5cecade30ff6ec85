"""`heliograph shed`: take load off a node by sending a share of its clients elsewhere, through the HTTP API."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import click

from config.durations import parse_duration
from config.errors import SettingsError
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand

__all__ = ["shed"]

_TIMEOUT_S: Final = 10


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
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Address of any node.")
@click.option(
    "--api-key", envvar="HELIOGRAPH_API_KEY", show_envvar=True, help="Key of the HTTP API; without it that of the settings."
)
@source_options
def shed(share: float, node: str, spread: float, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Send a share of a node's clients away, gently; SDKs connect anew, to wherever the load balancer sends them."""
    request = {"node": node, "share": share, "spread_s": spread}
    answer = _call(url, api_key if api_key is not None else _configured_key(file, dev), request)
    if "error" in answer:
        raise SettingsError([f"the server refused: {answer['error']['message']}"])
    for entry in answer["result"]["nodes"]:
        click.echo(f"{entry['name']} sends away {entry['num_clients']} clients")


def _configured_key(file: Path | None, dev: bool) -> str:
    keys = load_from(file, dev).loaded.settings.http_api.keys
    if not keys:
        raise SettingsError(["http_api.keys: no key is set: name one by --api-key, or use --config FILE, or --dev"])
    return keys[0].get_secret_value()


def _call(url: str, api_key: str, body: dict[str, Any]) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--url")
    headers = {"Content-Type": "application/json", "X-API-Key": api_key}
    request = urllib.request.Request(f"{url.rstrip('/')}/api/shed", json.dumps(body).encode(), headers)  # noqa: S310 (above)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 (above)
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as exc:
        reason = "does not accept the API key" if exc.code == 401 else f"answered with HTTP status {exc.code}"
        raise SettingsError([f"--url: {url} {reason}"]) from None
    except (OSError, HTTPException) as exc:
        cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        text = (cause.strerror if isinstance(cause, OSError) else None) or cause
        raise SettingsError([f"--url: {url} cannot be reached: {text}"]) from None
    except ValueError:
        raise SettingsError([f"--url: {url} is no heliograph"]) from None
