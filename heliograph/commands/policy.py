"""`heliograph policy`: policies in files, looked over and tried on tables of cases without a server, and put into one.

A file of cases is TOML or JSON. `otherwise` is what would hold without the policy; what is left out is empty.

    [[cases]]
    name = "nobody writes at night"
    expect = "deny"
    rule = "no-writing-at-night"
    otherwise = "allow"
    action = "publish"
    channel = "docs:plan"
    user = "ann"
    roles = ["editor"]
    at = 2026-11-25T02:00:00Z
"""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import click
import msgspec

from config.clock import SystemClock
from config.errors import SettingsError
from gateway.auth.decision import Decision
from gateway.auth.policy import Facts, Policy
from gateway.auth.policy_document import ACTIONS, BadPolicy, check, decode
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.commands.listing import echo_items
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand, RichGroup

__all__ = ["policy"]

_MOST_BYTES: Final = 4 * 1024 * 1024
_FILE = click.argument("policy_file", metavar="FILE", type=click.Path(path_type=Path))
_CLAIMS = click.option("--claim", "claims", multiple=True, help="A claim that is kept, beside those of policy.claims.")


class _Case(msgspec.Struct, forbid_unknown_fields=True):
    expect: Literal["allow", "deny"]
    action: str
    name: str = ""
    rule: str = ""
    otherwise: Literal["allow", "deny"] = "deny"
    channel: str = ""
    method: str = ""
    user: str = ""
    key: str = ""
    roles: tuple[str, ...] = ()
    claims: dict[str, Any] = {}
    address: str = ""
    transport: str = "websocket"
    origin: str = ""
    at: datetime | None = None


class _Cases(msgspec.Struct, forbid_unknown_fields=True):
    cases: list[_Case]


@click.group(cls=RichGroup)
def policy() -> None:
    """Look policies over, try them on cases, and put them into a server."""


@policy.command("check", cls=RichCommand)
@_FILE
@_CLAIMS
@source_options
def check_file(policy_file: Path, claims: tuple[str, ...], file: Path | None, dev: bool) -> None:
    """Look a policy over: every problem with its place; any of them ends with code 2."""
    read = _read_policy(policy_file, _kept(claims, file, dev))
    denying = sum(rule.denies for rule in read.rules)
    click.echo(f"{policy_file}: {len(read)} rules, {denying} that deny and {len(read) - denying} that allow")


@policy.command("test", cls=RichCommand)
@_FILE
@click.option("--cases", "cases_file", required=True, type=click.Path(path_type=Path), help="Cases, in TOML or JSON.")
@_CLAIMS
@source_options
def test_file(policy_file: Path, cases_file: Path, claims: tuple[str, ...], file: Path | None, dev: bool) -> None:
    """Try a policy on a table of cases; one that comes out otherwise ends with code 2."""
    read = _read_policy(policy_file, _kept(claims, file, dev))
    cases = _read_cases(cases_file)
    failed = []
    for number, case in enumerate(cases):
        decision = _decide(read, case)
        found = "allow" if decision.allowed else "deny"
        rule = decision.rule.removeprefix("policy:")
        is_right = found == case.expect and case.rule in ("", rule)
        label = case.name or f"cases[{number}]"
        click.echo(f"{'ok  ' if is_right else 'FAIL'} {label}: {found} by {rule}")
        if not is_right:
            wanted = case.expect + (f" by {case.rule}" if case.rule else "")
            failed.append(f"{cases_file}: {label}: {found} by {rule} instead of {wanted}")
    click.echo(f"{len(cases) - len(failed)} of {len(cases)} cases as expected")
    if failed:
        raise SettingsError(failed)


@policy.command("put", cls=RichCommand)
@_FILE
@click.option("--comment", default="", help="Why, for whoever looks at the versions.")
@click.option("--dry-run", is_flag=True, help="Only watch what it would decide otherwise.")
@api_options
def put_file(
    policy_file: Path, comment: str, dry_run: bool, url: str, api_key: str | None, file: Path | None, dev: bool
) -> None:
    """Put a policy into a server, through its HTTP API, where it decides at once, on every node."""
    document = _read_document(policy_file)
    key = api_key if api_key is not None else configured_key(file, dev)
    method = "policy_dry_run" if dry_run else "policy_set"
    made = call_api(url, key, method, {"policy": document, "comment": comment})
    click.echo(f"version {made['version']}")


@policy.command("list", cls=RichCommand)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many, newest first.")
@api_options
def list_versions(limit: int, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """List the versions of a server's policies."""
    key = api_key if api_key is not None else configured_key(file, dev)
    echo_items(call_api(url, key, "policy_list", {"limit": limit})["items"], _line)


@policy.command("rollback", cls=RichCommand)
@click.argument("version", type=int)
@api_options
def roll_back(version: int, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Have an older version decide again."""
    key = api_key if api_key is not None else configured_key(file, dev)
    click.echo(f"version {call_api(url, key, 'policy_rollback', {'version': version})['version']}")


def _line(version: dict[str, Any]) -> str:
    made_at = datetime.fromtimestamp(version["created_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{version['version']} {version['mode']} {made_at} {version.get('comment', '')}".rstrip()


def _kept(claims: tuple[str, ...], file: Path | None, dev: bool) -> tuple[str, ...]:
    """Tell which claims are kept: those of the settings, where some are named, and those that are given."""
    settings = load_from(file, dev).loaded.settings if file is not None or dev else None
    return (*(settings.policy.claims if settings is not None else ()), *claims)


def _read_policy(path: Path, claims: tuple[str, ...]) -> Policy:
    try:
        return Policy(check(decode(_read(path), is_toml=path.suffix != ".json"), claims), 0)
    except BadPolicy as exc:
        raise SettingsError([f"{path}: {problem}" for problem in exc.problems]) from None


def _read_document(path: Path) -> Any:
    """Read a policy as the API takes it, which checks it."""
    try:
        return msgspec.to_builtins(decode(_read(path), is_toml=path.suffix != ".json"))
    except BadPolicy as exc:
        raise SettingsError([f"{path}: {problem}" for problem in exc.problems]) from None


def _read_cases(path: Path) -> list[_Case]:
    try:
        content = json.loads(_read(path)) if path.suffix == ".json" else tomllib.loads(_read(path).decode())
        cases = msgspec.convert(content, _Cases).cases
    except msgspec.ValidationError as exc:
        raise SettingsError([f"{path}: {exc}"]) from None
    except (ValueError, RecursionError) as exc:
        raise SettingsError([f"{path}: cannot be read: {exc}"]) from None
    problems = []
    for number, case in enumerate(cases):
        if case.action not in ACTIONS:
            problems.append(f"{path}: cases[{number}].action: must be one of {', '.join(ACTIONS)}")
        if case.at is not None and case.at.tzinfo is None:
            problems.append(f"{path}: cases[{number}].at: must name its zone, as in 2026-11-25T02:00:00Z")
    if problems:
        raise SettingsError(problems)
    return cases


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError([f"{path}: is larger than {_MOST_BYTES} bytes"])
        return path.read_bytes()
    except OSError as exc:
        raise SettingsError([f"{path}: cannot be read: {exc.strerror}"]) from None


def _decide(read: Policy, case: _Case) -> Decision:
    facts = Facts(
        case.action,
        case.channel,
        case.method,
        user=case.user,
        key=case.key,
        roles=case.roles,
        claims=case.claims,
        address=case.address,
        networks=read.networks_of(case.address),
        transport=case.transport,
        origin=case.origin,
    )
    base = Decision(case.otherwise == "allow", "default")
    return read.decide(base, facts, SystemClock().now() if case.at is None else case.at)
