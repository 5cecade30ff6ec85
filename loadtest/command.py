"""`heliograph loadtest`: the scenarios, and how errors become lines and exit codes.

Exit codes: 0 measured and clean; 1 the server cannot be used, or something was lost, refused or disconnected; 2 an
error of use. The composition root may offer the credentials of development mode: it puts a callable that returns
`Credentials` (or None) into `ctx.meta[CREDENTIALS]`. Options bear the names of the plans' fields.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console

from loadtest.options import (
    CREDENTIALS,
    Common,
    Credentials,
    common_options,
    count,
    need_api_key,
    rate,
    read_target,
    source_addresses,
)
from loadtest.progress import show_result
from loadtest.result import Result
from loadtest.run import RunOptions, run_scenario, write_files
from loadtest.scenarios.connect import ConnectPlan, conduct_connect
from loadtest.scenarios.fanout import FanoutPlan, conduct_fanout
from loadtest.scenarios.notify import NotifyPlan, conduct_notify
from loadtest.session import Conditions, NothingMeasured, Session
from loadtest.stamps import SMALLEST_BYTES
from loadtest.swarm import WorkerLost

__all__ = ["CREDENTIALS", "Credentials", "loadtest"]


@click.group()
def loadtest() -> None:
    """Measure a server with a swarm of clients, and write a report.

    Pin the server and the swarm to different cores (--cpu-client), repeat, and compare ratios, not absolute figures.
    """


@loadtest.command()
@count("--subscribers", default=1000, least=0, says="0 only publishes.")
@rate(default=100.0, says="Publications per second; 0 publishes as fast as answers come.")
@count("--size", "size_bytes", default=128, least=SMALLEST_BYTES, most=1024 * 1024, says="Bytes of a publication's data.")
@count("--duration", "duration_s", default=10, says="Measured seconds.")
@count("--warmup", "warmup_s", default=1, least=0, says="Seconds before them that do not count.")
@count("--batch", default=1, most=1000, says="Publications per request (/api/batch), so that so many wait together.")
@count("--connections", default=4, most=1000, says="Keep-alive connections that publish.")
@click.option("--channel", default="loadtest", show_default=True, help="Channel to publish in.")
@click.option(
    "--subscribe-url",
    multiple=True,
    help="Node that subscribers connect to, may be repeated: then they are shared out.  [default: --url]",
)
@count("--sample", default=20, says="Subscribers whose payloads are read.")
@count("--at-once", default=200, says="Clients connecting at a time.")
@source_addresses
@common_options
def fanout(common: Common, subscribe_url: tuple[str, ...], **plan: Any) -> None:
    """Publish to many subscribers of one channel."""
    need_api_key(common)
    nodes = tuple(read_target(url, "--subscribe-url") for url in subscribe_url)
    _execute("fanout", partial(conduct_fanout, FanoutPlan(**plan)), msgspec.structs.replace(common, nodes=nodes))


@loadtest.command()
@count("--clients", default=1000, says="How many connect.")
@count("--at-once", default=200, says="Clients on their way at a time.")
@rate(says="Clients started per second; 0 does not space them.")
@count("--hold", "hold_s", default=2, least=0, says="Seconds that all stay connected.")
@click.option("--channel", default="loadtest", show_default=True, help="Channel that every client subscribes to.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1),
    default=30.0,
    show_default=True,
    help="Seconds that a client may take.",
)
@source_addresses
@common_options
def connect(common: Common, **plan: Any) -> None:
    """Let many clients connect, authenticate and subscribe."""
    _execute("connect", partial(conduct_connect, ConnectPlan(**plan)), common)


@loadtest.command()
@count("--notifications", default=1000, says="How many are sent.")
@count("--per-request", default=100, most=1000, says="Users that one request notifies.")
@click.option("--users", type=click.IntRange(1), help="Users with one device each.  [default: one per notification, ≤ 1000]")
@rate(says="Notifications per second; 0 waits for answers only.")
@count("--connections", default=4, most=1000, says="Keep-alive connections.")
@click.option("--provider", type=click.Choice(["fcm", "apns", "webpush", "email"]), default="fcm", show_default=True)
@click.option(
    "--priority",
    type=click.Choice(["critical", "high", "normal", "bulk"]),
    default="normal",
    show_default=True,
    help="The lane.",
)
@common_options
def notify(common: Common, notifications: int, per_request: int, users: int | None, provider: str, **plan: Any) -> None:
    """Notify users that are away."""
    need_api_key(common)
    per_request = min(per_request, notifications)
    users = users if users is not None else max(per_request, min(notifications, 1000))
    if users < per_request:
        raise click.UsageError(f"--users ({users}) must not be less than --per-request ({per_request})")
    routes = ("live", "email") if provider == "email" else ("live", "push")
    made = NotifyPlan(notifications, per_request, users, provider=provider, routes=routes, **plan)
    _execute("notify", partial(conduct_notify, made), common)


def _execute(scenario: str, conduct: Callable[[Session], Awaitable[Result]], common: Common) -> None:
    """Run, show, write; leave with the exit code that fits."""
    console = Console()
    folder = common.output or Path("report") / f"{scenario}-{datetime.now():%Y%m%d-%H%M%S}"
    conditions = Conditions(common.target, common.api_key, common.secret, common.processes, common.cpu_client, common.nodes)
    options = RunOptions(f"{scenario} {common.target.url}", common.pids, common.is_quiet)
    try:
        result = asyncio.run(run_scenario(conduct, conditions, options, console))
        files = write_files(result, folder)
    except (NothingMeasured, WorkerLost) as exc:
        _give_up(str(exc))
    except OSError as exc:
        _give_up(f"the report cannot be written to {folder}: {exc.strerror or exc}")
    show_result(console, result, files)
    if result.failures:
        click.get_current_context().exit(1)


def _give_up(text: str) -> NoReturn:
    """Say in one line why there is no result, and leave with code 1."""
    ctx = click.get_current_context()
    click.echo(f"{ctx.command_path}: {' '.join(text.split())}", err=True)
    ctx.exit(1)
