"""`heliograph status-webhook`: how the status webhook stands, and switching it on again, through the HTTP API."""

from datetime import UTC, datetime
from pathlib import Path

import click

from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.groups import RichCommand, RichGroup

__all__ = ["status_webhook"]


@click.group(cls=RichGroup)
def status_webhook() -> None:
    """Tell how the status webhook stands, and switch it on again."""


@status_webhook.command("info", cls=RichCommand)
@api_options
def info(url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Tell whether it is on, and while it fails since when and how."""
    key = api_key if api_key is not None else configured_key(file, dev)
    told = call_api(url, key, "status_webhook_info", {})
    if "failing_since" not in told:
        click.echo("on" if told["enabled"] else "not set: no pusher has started with notifications.status_webhook.url")
        return
    state = "on, failing" if told["enabled"] else f"off since {_at(told['disabled_at'])}, failing"
    click.echo(f"{state} since {_at(told['failing_since'])}: {told.get('cause', 'no cause told')}")


@status_webhook.command("enable", cls=RichCommand)
@api_options
def enable(url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Switch it on after it was switched off for failing."""
    key = api_key if api_key is not None else configured_key(file, dev)
    was_disabled = call_api(url, key, "status_webhook_enable", {})["was_disabled"]
    click.echo("It is on again." if was_disabled else "Nothing to do: it was not switched off.")


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
