"""`heliograph dead-letters`: look at what could not be delivered, and have it tried anew, through the HTTP API."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from config.durations import parse_duration
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.commands.listing import echo_items
from heliograph.groups import RichCommand, RichGroup

__all__ = ["dead_letters"]

_PAGE: Final = 1000


@click.group(cls=RichGroup)
def dead_letters() -> None:
    """Look at what could not be delivered, and have it tried anew."""


@dead_letters.command("list", cls=RichCommand)
@click.option("--provider", default="", help="Only those of a provider, such as apns.")
@click.option("--reason", default="", help="Only refused, gave_up, unknown, paused or failed ones.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the newest first.")
@click.option("--all", "with_replayed", is_flag=True, help="Also those that were replayed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@api_options
def list_letters(
    provider: str,
    reason: str,
    limit: int,
    with_replayed: bool,
    as_json: bool,
    url: str,
    api_key: str | None,
    file: Path | None,
    dev: bool,
) -> None:
    """List what could not be delivered: id, moment, reason, provider, address, notification, detail."""
    wanted = {"provider": provider, "reason": reason, "include_replayed": with_replayed}
    key = api_key if api_key is not None else configured_key(file, dev)
    echo_items(_letters(url, key, wanted, limit), _line, as_json=as_json)


@dead_letters.command("replay", cls=RichCommand)
@click.argument("ids", nargs=-1)
@click.option("--all", "take_all", is_flag=True, help="Every letter that --provider and --reason leave.")
@click.option("--provider", default="", help="With --all: only those of a provider.")
@click.option("--reason", default="", help="With --all: only those with a reason.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="With --all: at most so many.")
@click.option("--extend-ttl", default="", help='Let what has expired live for so long from now, such as "1h".')
@click.option("--dry-run", is_flag=True, help="Change nothing, only tell what would come of it.")
@api_options
def replay_letters(
    ids: tuple[str, ...],
    take_all: bool,
    provider: str,
    reason: str,
    limit: int,
    extend_ttl: str,
    dry_run: bool,
    url: str,
    api_key: str | None,
    file: Path | None,
    dev: bool,
) -> None:
    """Have letters tried anew, by their ids or by rule; a repeat changes nothing."""
    if bool(ids) == take_all:
        raise click.UsageError("name ids, or use --all")
    extension_s = _seconds(extend_ttl)
    key = api_key if api_key is not None else configured_key(file, dev)
    if take_all:
        ids = tuple(letter["id"] for letter in _letters(url, key, {"provider": provider, "reason": reason}, limit))
    counts: Counter[str] = Counter()
    for start in range(0, len(ids), _PAGE):
        request = {"ids": ids[start : start + _PAGE], "extend_ttl_s": extension_s, "dry_run": dry_run}
        for item in call_api(url, key, "dead_letter_replay", request)["items"]:
            counts[item["result"]] += 1
            if not take_all:
                click.echo(f"{item['id']} {item['result']}")
    if take_all:
        click.echo(", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "There are none.")


def _seconds(extend_ttl: str) -> float:
    if not extend_ttl:
        return 0.0
    try:
        return parse_duration(extend_ttl)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--extend-ttl") from None


def _letters(url: str, key: str, wanted: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """Fetch letters page by page."""
    cursor = ""
    while limit > 0:
        page = call_api(url, key, "dead_letter_list", {**wanted, "cursor": cursor, "limit": min(limit, _PAGE)})
        yield from page["items"]
        limit -= len(page["items"])
        cursor = page["next_cursor"]
        if not cursor:
            return


def _line(letter: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(letter["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = [letter["id"], at, letter["reason"], letter.get("provider", "-"), letter.get("address", "-")]
    return " ".join([*words, letter["notification_id"], letter["detail"]])
