"""`heliograph key`: keys of the HTTP API, made and taken back through the HTTP API of a running server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from config.clock import SystemClock
from config.durations import parse_duration
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.commands.listing import echo_items
from heliograph.groups import RichCommand, RichGroup

__all__ = ["key"]


@click.group(cls=RichGroup)
def key() -> None:
    """Make keys of the HTTP API that may do some things only, and take them back."""


def _read_duration(_ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint=param.opts[0]) from None


@key.command("create", cls=RichCommand)
@click.argument("name")
@click.option("--method", "methods", multiple=True, help="A method that it may call, or a pattern: publish, 'device_*', '*'.")
@click.option("--role", default="", help="A role whose permissions to call methods it has.")
@click.option("--channel", "channels", multiple=True, help="A pattern of channels that its calls may name; without one, all.")
@click.option("--ttl", callback=_read_duration, help="How long it opens, such as 720h; for ever without it.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Calls per second on average; 0 sets no limit.")
@click.option("--burst", type=click.IntRange(0), default=0, help="Calls that may come at once under --rate.")
@api_options
def create_key(
    name: str,
    methods: tuple[str, ...],
    role: str,
    channels: tuple[str, ...],
    ttl: float | None,
    rate: float,
    burst: int,
    url: str,
    api_key: str | None,
    file: Path | None,
    dev: bool,
) -> None:
    """Make a key and print it: the only time that it is told. Its id stands on standard error."""
    expires_at = 0 if ttl is None else int((SystemClock().now() + timedelta(seconds=ttl)).timestamp())
    request = {
        "name": name,
        "methods": methods,
        "role": role,
        "channels": channels,
        "expire_at": expires_at,
        "rate_per_s": rate,
        "burst": burst,
    }
    _print(_call("api_key_create", request, url, api_key, file, dev))


@key.command("rotate", cls=RichCommand)
@click.argument("key_id")
@click.option("--grace", callback=_read_duration, default="24h", show_default=True, help="How long the one before opens too.")
@api_options
def rotate_key(key_id: str, grace: float, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Give a key another secret and print it; the one before opens as well for a while."""
    _print(_call("api_key_rotate", {"id": key_id, "grace_s": grace}, url, api_key, file, dev))


@key.command("revoke", cls=RichCommand)
@click.argument("key_id")
@api_options
def revoke_key(key_id: str, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Take a key out of use, on every node within moments."""
    _call("api_key_revoke", {"id": key_id}, url, api_key, file, dev)
    click.echo(f"{key_id} revoked")


@key.command("list", cls=RichCommand)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@api_options
def list_keys(as_json: bool, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """List keys: id, name, what it may do, when it ends, when it was used."""
    echo_items(_call("api_key_list", {}, url, api_key, file, dev)["items"], _line, as_json=as_json)


def _call(method: str, body: dict[str, Any], url: str, api_key: str | None, file: Path | None, dev: bool) -> dict[str, Any]:
    return call_api(url, api_key if api_key is not None else configured_key(file, dev), method, body)


def _print(made: dict[str, Any]) -> None:
    click.echo(f"id {made['id']}", err=True)
    click.echo(made["key"])


def _line(item: dict[str, Any]) -> str:
    words = [item["id"], item["name"], f"methods={','.join(item.get('methods', ())) or '-'}"]
    words += [f"{name}={value}" for name in ("role", "rate_per_s") if (value := item.get(name))]
    if channels := item.get("channels"):
        words.append(f"channels={','.join(channels)}")
    for name in ("expire_at", "previous_until", "last_used_at"):
        if moment := item.get(name):
            words.append(f"{name}={datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}")
    return " ".join(words)
