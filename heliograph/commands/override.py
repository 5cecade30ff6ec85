"""`heliograph override`: say that something is otherwise for a while, look what has been said, and take it back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from broker.overrides import KINDS, Kind, Number, Target
from config.durations import parse_duration
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.groups import RichCommand, RichGroup

__all__ = ["override"]

_KIND: Final = click.Choice([kind.value for kind in Kind])


_TARGETS: Final = {Target.NOTHING: "", Target.LANE: " LANE", Target.CARRIER: " CARRIER", Target.NODE: " [NODE]"}


def _kinds() -> str:
    """List what there is, with what each kind is about, and with its value."""
    named = {f"{kind}{_TARGETS[rule.target]}": rule.value for kind, rule in KINDS.items()}
    width = max(map(len, named)) + 2
    lines = [f"{name:<{width}}{'' if value is None else f'--value: {value}'}".rstrip() for name, value in named.items()]
    return "\n".join(["\b", "Kinds, with their targets and values:", *(f"  {line}" for line in lines)])


_SET_HELP: Final = f"""Say it, for a while.

{_kinds()}
"""


@click.group(cls=RichGroup)
def override() -> None:
    """Say that something is otherwise for a while: a lane paused, a rate lowered, new connections refused."""


@override.command("set", cls=RichCommand, help=_SET_HELP, short_help="Say it, for a while.")
@click.argument("kind", type=_KIND, metavar="KIND")
@click.argument("target", default="")
@click.option("--value", help="The text or number, where the kind has one.")
@click.option("--for", "lasts", required=True, help='It ends after so long, such as "30m".')
@click.option("--reason", required=True, help="Why, for whoever wonders and for the audit.")
@api_options
def set_override(
    kind: str,
    target: str,
    value: str | None,
    lasts: str,
    reason: str,
    url: str,
    api_key: str | None,
    file: Path | None,
    dev: bool,
) -> None:
    """Ask a server for an override."""
    key = api_key if api_key is not None else configured_key(file, dev)
    request = {"kind": kind, "target": target, "expires_in_s": _seconds(lasts), "reason": reason}
    if value is not None:
        request["value"] = _value(Kind(kind), value)
    click.echo(_line(call_api(url, key, "override_set", request)))


@override.command("list", cls=RichCommand)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@api_options
def list_overrides(as_json: bool, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """List what holds now: kind, target, value, end, by whom, why."""
    key = api_key if api_key is not None else configured_key(file, dev)
    items = call_api(url, key, "override_list", {})["items"]
    for item in items:
        click.echo(json.dumps(item) if as_json else _line(item))
    if not items and not as_json:
        click.echo("There are none.")


@override.command("remove", cls=RichCommand)
@click.argument("kind", type=_KIND, metavar="KIND")
@click.argument("target", default="")
@api_options
def remove_override(kind: str, target: str, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Take one back before its end: what was paused goes on, what was limited has its limit of the settings again."""
    key = api_key if api_key is not None else configured_key(file, dev)
    call_api(url, key, "override_remove", {"kind": kind, "target": target})


def _seconds(lasts: str) -> float:
    try:
        return parse_duration(lasts)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--for") from None


def _value(kind: Kind, text: str) -> str | float:
    if not isinstance(KINDS[kind].value, Number):
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"must be {KINDS[kind].value}", param_hint="--value") from None


def _line(item: dict[str, Any]) -> str:
    until = datetime.fromtimestamp(item["expires_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = json.dumps(item["value"], ensure_ascii=False) if "value" in item else "-"
    words = [item["kind"], item.get("target") or "-", value, f"until {until}"]
    return " ".join([*words, f"by {item.get('set_by') or '-'}:", item["reason"]])
