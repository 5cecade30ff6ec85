"""`heliograph loadtest`: the options, and how errors become lines and exit codes.

Exit codes: 0 measured and clean; 1 the server cannot be used, or something was lost, refused or disconnected; 2 an
error of use. The composition root may offer the credentials of development mode: it puts a callable that returns
`Credentials` (or None) into `ctx.meta[CREDENTIALS]`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console

from loadtest.progress import show_result
from loadtest.result import Result
from loadtest.run import RunOptions, run_scenario, write_files
from loadtest.scenarios.connect import ConnectPlan, conduct_connect
from loadtest.scenarios.fanout import FanoutPlan, conduct_fanout
from loadtest.scenarios.notify import NotifyPlan, conduct_notify
from loadtest.session import Conditions, NothingMeasured, Session
from loadtest.stamps import SMALLEST_BYTES
from loadtest.swarm import WorkerLost
from loadtest.target import BadTarget, Target, parse_target

__all__ = ["CREDENTIALS", "Credentials", "loadtest"]

CREDENTIALS = "loadtest.credentials"


class Credentials(msgspec.Struct, frozen=True):
    """What opens a server: an API key, and the HMAC secret that client tokens are signed with."""

    api_key: str
    secret: str


class _Common(msgspec.Struct, frozen=True):
    """The options that every scenario has, as they were given."""

    target: Target
    api_key: str
    secret: str
    processes: int
    output: Path | None
    pids: tuple[int, ...]
    cpu_client: int | None
    is_quiet: bool
    nodes: tuple[Target, ...] = ()


@click.group()
def loadtest() -> None:
    """Measure a server with a swarm of clients, and write a report.

    Pin the server and the swarm to different cores (--cpu-client), repeat, and compare ratios, not absolute figures.
    """


def _common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options, handed on as one `common` argument."""

    def collect(
        url: str,
        api_key: str | None,
        secret: str | None,
        processes: int,
        output: Path | None,
        pid: tuple[int, ...],
        cpu_client: int | None,
        quiet: bool,
        **options: Any,
    ) -> None:
        target = _read_target(url, "--url")
        offered = _offered_credentials() if api_key is None or secret is None else None
        if cpu_client is not None and cpu_client >= (os.cpu_count() or 1):
            raise click.BadParameter(
                f"there is no core {cpu_client}, the last is {(os.cpu_count() or 1) - 1}", param_hint="--cpu-client"
            )
        api_key = api_key if api_key is not None else (offered.api_key if offered else "")
        secret = secret if secret is not None else (offered.secret if offered else "")
        command(common=_Common(target, api_key, secret, processes, output, pid, cpu_client, quiet), **options)

    wrapped: Any = update_wrapper(collect, command)
    for option in reversed(_COMMON):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators give back what they were given


_COMMON = (
    click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Address of the server."),
    click.option(
        "--api-key",
        envvar="HELIOGRAPH_API_KEY",
        show_envvar=True,
        help="Key of the HTTP API; without it that of development mode in ./data.",
    ),
    click.option(
        "--secret",
        envvar="HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY",
        show_envvar=True,
        help="HMAC secret that client tokens are signed with; without it that of development mode in ./data.",
    ),
    click.option(
        "--processes", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes that hold the subscribers."
    ),
    click.option(
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of result.json and report.html.  [default: ./report/<scenario>-<time>]",
    ),
    click.option(
        "--pid",
        type=click.IntRange(1),
        multiple=True,
        help="Process of the server to watch, may be repeated.  [default: who listens on the port]",
    ),
    click.option("--cpu-client", type=click.IntRange(0), help="Core to pin the measuring processes to."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


@loadtest.command()
@click.option("--subscribers", type=click.IntRange(0), default=1000, show_default=True, help="0 only publishes.")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=100.0,
    show_default=True,
    help="Publications per second; 0 publishes as fast as answers come.",
)
@click.option(
    "--size",
    type=click.IntRange(SMALLEST_BYTES, 1024 * 1024),
    default=128,
    show_default=True,
    help="Bytes of a publication's data.",
)
@click.option("--duration", type=click.IntRange(1), default=10, show_default=True, help="Measured seconds.")
@click.option("--warmup", type=click.IntRange(0), default=1, show_default=True, help="Seconds before them that do not count.")
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Publications per request (/api/batch), so that so many wait together.",
)
@click.option(
    "--connections", type=click.IntRange(1, 1000), default=4, show_default=True, help="Keep-alive connections that publish."
)
@click.option("--channel", default="loadtest", show_default=True, help="Channel to publish in.")
@click.option(
    "--subscribe-url",
    multiple=True,
    help="Node that subscribers connect to, may be repeated: then they are shared out.  [default: --url]",
)
@click.option("--sample", type=click.IntRange(1), default=20, show_default=True, help="Subscribers whose payloads are read.")
@click.option("--at-once", type=click.IntRange(1), default=200, show_default=True, help="Clients connecting at a time.")
@click.option(
    "--source-addresses",
    type=click.IntRange(1, 50_000),
    default=1,
    show_default=True,
    help="Loopback addresses to connect from; one has some 28,000 ports.",
)
@_common_options
def fanout(
    common: _Common,
    subscribers: int,
    rate: float,
    size: int,
    duration: int,
    warmup: int,
    batch: int,
    connections: int,
    channel: str,
    subscribe_url: tuple[str, ...],
    sample: int,
    at_once: int,
    source_addresses: int,
) -> None:
    """Publish to many subscribers of one channel."""
    _need_api_key(common)
    nodes = tuple(_read_target(url, "--subscribe-url") for url in subscribe_url)
    plan = FanoutPlan(
        subscribers=subscribers,
        rate_per_s=rate,
        size_bytes=size,
        duration_s=duration,
        warmup_s=warmup,
        batch=batch,
        connections=connections,
        channel=channel,
        sample=sample,
        at_once=at_once,
        source_addresses=source_addresses,
    )
    _execute("fanout", partial(conduct_fanout, plan), msgspec.structs.replace(common, nodes=nodes))


@loadtest.command()
@click.option("--clients", type=click.IntRange(1), default=1000, show_default=True, help="How many connect.")
@click.option("--at-once", type=click.IntRange(1), default=200, show_default=True, help="Clients on their way at a time.")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Clients started per second; 0 does not space them.",
)
@click.option("--hold", type=click.IntRange(0), default=2, show_default=True, help="Seconds that all stay connected.")
@click.option("--channel", default="loadtest", show_default=True, help="Channel that every client subscribes to.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Seconds that a client may take.")
@click.option(
    "--source-addresses",
    type=click.IntRange(1, 50_000),
    default=1,
    show_default=True,
    help="Loopback addresses to connect from; one has some 28,000 ports.",
)
@_common_options
def connect(
    common: _Common,
    clients: int,
    at_once: int,
    rate: float,
    hold: int,
    channel: str,
    timeout: float,
    source_addresses: int,
) -> None:
    """Let many clients connect, authenticate and subscribe."""
    plan = ConnectPlan(
        clients=clients,
        at_once=at_once,
        rate_per_s=rate,
        hold_s=hold,
        channel=channel,
        source_addresses=source_addresses,
        timeout_s=timeout,
    )
    _execute("connect", partial(conduct_connect, plan), common)


@loadtest.command()
@click.option("--notifications", type=click.IntRange(1), default=1000, show_default=True, help="How many are sent.")
@click.option(
    "--per-request", type=click.IntRange(1, 1000), default=100, show_default=True, help="Users that one request notifies."
)
@click.option("--users", type=click.IntRange(1), help="Users with one device each.  [default: one per notification, ≤ 1000]")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Notifications per second; 0 waits for answers only.",
)
@click.option("--connections", type=click.IntRange(1, 1000), default=4, show_default=True, help="Keep-alive connections.")
@click.option("--provider", type=click.Choice(["fcm", "apns", "email"]), default="fcm", show_default=True)
@click.option(
    "--priority",
    type=click.Choice(["critical", "high", "normal", "bulk"]),
    default="normal",
    show_default=True,
    help="The lane.",
)
@_common_options
def notify(
    common: _Common,
    notifications: int,
    per_request: int,
    users: int | None,
    rate: float,
    connections: int,
    provider: str,
    priority: str,
) -> None:
    """Notify users that are away."""
    _need_api_key(common)
    per_request = min(per_request, notifications)
    users = users if users is not None else max(per_request, min(notifications, 1000))
    if users < per_request:
        raise click.UsageError(f"--users ({users}) must not be less than --per-request ({per_request})")
    plan = NotifyPlan(
        notifications=notifications,
        per_request=per_request,
        users=users,
        rate_per_s=rate,
        connections=connections,
        provider=provider,
        routes=("live", "email") if provider == "email" else ("live", "push"),
        priority=priority,
    )
    _execute("notify", partial(conduct_notify, plan), common)


def _read_target(url: str, option: str) -> Target:
    try:
        return parse_target(url)
    except BadTarget as exc:
        raise click.BadParameter(str(exc), param_hint=option) from exc


def _need_api_key(common: _Common) -> None:
    if not common.api_key:
        raise click.UsageError("an API key is needed: --api-key, HELIOGRAPH_API_KEY, or a ./data of development mode")


def _offered_credentials() -> Credentials | None:
    """Ask the composition root, where there is one."""
    offer = click.get_current_context().meta.get(CREDENTIALS)
    return offer() if offer is not None else None


def _execute(scenario: str, conduct: Callable[[Session], Awaitable[Result]], common: _Common) -> None:
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
