"""`heliograph campaign`: look how campaigns stand, change their rate, pause, resume or cancel them, through the HTTP API."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.commands.listing import echo_items
from heliograph.groups import RichCommand, RichGroup

__all__ = ["campaign"]

_PAGE: Final = 100
_STATES: Final = ("scheduled", "running", "paused", "done", "cancelled")


@click.group(cls=RichGroup)
def campaign() -> None:
    """Look how campaigns stand, change their rate, pause, resume or cancel them."""


@campaign.command("list", cls=RichCommand)
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help=f"Only those in a state, of {', '.join(_STATES)}.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@api_options
def list_campaigns(
    state: str | None, limit: int, as_json: bool, url: str, api_key: str | None, file: Path | None, dev: bool
) -> None:
    """List campaigns: id, moment, state, users told, rate, audience, name."""
    key = api_key if api_key is not None else configured_key(file, dev)
    echo_items(_campaigns(url, key, state or "", limit), _line, as_json=as_json)


@campaign.command("status", cls=RichCommand)
@click.argument("campaign_id")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@api_options
def show_status(campaign_id: str, as_json: bool, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Tell how far a campaign has come, and what became of its notifications."""
    key = api_key if api_key is not None else configured_key(file, dev)
    item = call_api(url, key, "campaign_status", {"id": campaign_id})["campaign"]
    if as_json:
        click.echo(json.dumps(item))
        return
    click.echo(_line(item))
    for state, count in sorted(item["notifications"].items()):
        click.echo(f"  {state} {count}")


@campaign.command("rate", cls=RichCommand)
@click.argument("campaign_id")
@click.argument("rate_per_s", type=click.FloatRange(0))
@api_options
def set_rate(campaign_id: str, rate_per_s: float, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Tell so many users per second from the next page on; 0 is as fast as they can be told."""
    key = api_key if api_key is not None else configured_key(file, dev)
    item = call_api(url, key, "campaign_update", {"id": campaign_id, "rate_per_s": rate_per_s})["campaign"]
    click.echo(f"{item['id']} {item['state']} {_rate(item)}")


@campaign.command("pause", cls=RichCommand)
@click.argument("campaign_id")
@api_options
def pause(campaign_id: str, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Tell nobody more for now; what has been stored goes its ways."""
    _move("campaign_pause", campaign_id, url, api_key if api_key is not None else configured_key(file, dev))


@campaign.command("resume", cls=RichCommand)
@click.argument("campaign_id")
@api_options
def resume(campaign_id: str, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Go on where a campaign was paused."""
    _move("campaign_resume", campaign_id, url, api_key if api_key is not None else configured_key(file, dev))


@campaign.command("cancel", cls=RichCommand)
@click.argument("campaign_id")
@api_options
def cancel(campaign_id: str, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Tell nobody more, and call off what is still pending."""
    _move("campaign_cancel", campaign_id, url, api_key if api_key is not None else configured_key(file, dev))


def _move(method: str, campaign_id: str, url: str, key: str) -> None:
    click.echo(f"{campaign_id} {call_api(url, key, method, {'id': campaign_id})['state']}")


def _campaigns(url: str, key: str, state: str, limit: int) -> Iterator[dict[str, Any]]:
    """Fetch campaigns page by page."""
    cursor = ""
    while limit > 0:
        page = call_api(url, key, "campaign_list", {"state": state, "cursor": cursor, "limit": min(limit, _PAGE)})
        yield from page["items"]
        limit -= len(page["items"])
        cursor = page["next_cursor"]
        if not cursor:
            return


def _line(item: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(item["starts_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = f"{item['expanded']}/{item.get('audience_size', '?')}"
    audience = item["audience"]
    whom = "all" if audience.get("all") else "+".join(audience.get("topics", [audience.get("topic", "")]))
    return " ".join([item["id"], at, item["state"], told, _rate(item), whom, item.get("name", "")]).rstrip()


def _rate(item: dict[str, Any]) -> str:
    return f"{item['rate_per_s']:g}/s" if item["rate_per_s"] else "any"
