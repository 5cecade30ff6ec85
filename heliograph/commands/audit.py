"""`heliograph audit`: who did what, asked of the store itself, so that it needs no server and believes none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from broker.audit import Anchor, Audit, AuditFilter, SealedRecord
from broker.errors import BadInput, StoreUnavailable
from broker.store.store import open_store, revisions_of
from config.clock import SystemClock
from config.errors import SettingsError
from config.settings import Settings
from gateway.api.audit import audit_item
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand, RichGroup

__all__ = ["audit"]

_PAGE: Final = 500
_encode: Final = msgspec.json.encode

T = TypeVar("T")


@click.group(cls=RichGroup)
def audit() -> None:
    """Search, export and verify the audit, on the store of these settings."""


@audit.command(cls=RichCommand)
@click.option("--anchor", default="", help="What `audit head` printed once: the chain must still lead there.")
@source_options
def verify(anchor: str, file: Path | None, dev: bool) -> None:
    """Tell whether the audit is whole: nothing changed, moved, put in or cut out.

    Where it is not, each break is a line of its own. What was cut off at the end shows for certain against an anchor that was
    kept elsewhere.
    """
    settings = _settings(file, dev)
    place = _told(lambda: Anchor.parse(anchor)) if anchor else None
    found = _answer(settings, lambda log: log.verify(place))
    if not found.is_whole:
        raise SettingsError([f"the audit is broken: {problem}" for problem in found.problems])
    if found.records:
        click.echo(f"The audit is whole: {found.records} records, {found.first} to {found.head.sequence}.")
    else:
        click.echo("The audit is empty.")
    if found.unsigned:
        click.echo(f"{found.unsigned} of them were made without a key (audit.hmac_key).")
    if found.pending:
        click.echo(f"{found.pending} more wait for their place in the chain.")
    click.echo(f"head: {found.head}")


@audit.command(cls=RichCommand)
@source_options
def head(file: Path | None, dev: bool) -> None:
    """Print the newest record's number and hash: an anchor, to be kept where whoever can write the store cannot."""
    click.echo(str(_answer(_settings(file, dev), lambda log: log.head())))


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a moment; one without a zone is in UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be a moment such as 2026-01-31 or 2026-01-31T12:00:00Z", context, parameter) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@audit.command(cls=RichCommand)
@click.option("--from", "since", callback=_moment, help="From this moment on: 2026-01-31, or 2026-01-31T12:00:00Z.")
@click.option("--to", "until", callback=_moment, help="Before this moment.")
@click.option("--actor", default="", help='A kind such as "api_key", or with a name: "user:alice".')
@click.option("--action", default="", help='Such as "device.registered", or the beginning: "device.*".')
@click.option("--resource", default="", help='Such as "channel:news", or the beginning: "channel:*".')
@click.option("--decision", default="", help="granted, denied, changed, failed or noted.")
@click.option("--rule", default="", help='What decided: such as "policy:night", or the beginning: "policy:*".')
@click.option("--user", default="", help="Whom it concerns.")
@click.option("--correlation-id", default="", help="Of the request or the connection.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@source_options
def search(limit: int, as_json: bool, file: Path | None, dev: bool, **rules: Any) -> None:
    """List records, the newest first."""
    wanted = AuditFilter(**rules)

    async def find(log: Audit) -> bool:
        left, cursor = limit, ""
        while left > 0:
            found, cursor = await log.search(wanted, before=cursor, limit=min(left, _PAGE))
            for sealed in found:
                click.echo(_encode(audit_item(sealed)) if as_json else _line(sealed))
            left -= len(found)
            if not cursor:
                break
        return left < limit

    if not _answer(_settings(file, dev), find) and not as_json:
        click.echo("There are none.", err=True)


@audit.command(cls=RichCommand)
@click.option("--after", type=click.IntRange(0), default=0, help="Only records behind this number.")
@source_options
def export(after: int, file: Path | None, dev: bool) -> None:
    """Write all records as JSON lines, in the order of the chain, with everything that their hashes cover."""

    async def write(log: Audit) -> None:
        place = after
        while found := await log.read(place, limit=_PAGE):
            for sealed in found:
                click.echo(_encode(audit_item(sealed)))
            place = found[-1].sequence

    _answer(_settings(file, dev), write)


def _settings(file: Path | None, dev: bool) -> Settings:
    return load_from(file, dev).loaded.settings


def _line(sealed: SealedRecord) -> str:
    item = audit_item(sealed)
    at = datetime.fromtimestamp(item.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = [str(item.sequence), at, item.decision, item.action, item.actor]
    named = {"resource": item.resource, "user": item.user, "rule": item.rule, "from": item.address, "id": item.correlation_id}
    return " ".join([*words, *(f"{name}={value}" for name, value in named.items() if value)])


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Audit]:
    """Open the store as it is: nothing is migrated, and an absent file is not made."""
    store = settings.store.model_copy(update={"migrate": "never"})
    if not (await revisions_of(store.url, settings=store)).current:
        raise BadInput("store.url", "names a database that has no tables yet")
    opened = await open_store(store.url, clock=SystemClock(), settings=store, audit=settings.audit)
    try:
        yield opened.audit
    finally:
        await opened.close()


def _answer(settings: Settings, ask: Callable[[Audit], Awaitable[T]]) -> T:
    async def work() -> T:
        async with _opened(settings) as log:
            return await ask(log)

    return _told(lambda: _run(work()))


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _told(work: Callable[[], T]) -> T:
    """Turn what is refused into the lines of a command."""
    try:
        return work()
    except BadInput as exc:
        names_option = exc.field in ("anchor", "actor", "action", "resource", "decision", "rule", "user", "to")
        raise SettingsError([f"{'--' if names_option else ''}{exc.field}: {exc.rule}"]) from None
    except StoreUnavailable as exc:
        raise SettingsError([f"store.url: {exc}"]) from None
