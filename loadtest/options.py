"""The options that every scenario of `heliograph loadtest` has, and what they are read into."""

import os
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
import msgspec

from loadtest.target import BadTarget, Target, parse_target

__all__ = [
    "CREDENTIALS",
    "Common",
    "Credentials",
    "common_options",
    "count",
    "need_api_key",
    "rate",
    "read_target",
    "source_addresses",
]

_Decorator = Callable[[Callable[..., None]], Callable[..., None]]

CREDENTIALS = "loadtest.credentials"


class Credentials(msgspec.Struct, frozen=True):
    """What opens a server: an API key, and the HMAC secret that client tokens are signed with."""

    api_key: str
    secret: str


class Common(msgspec.Struct, frozen=True):
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


def count(*names: str, says: str, default: int, least: int = 1, most: int | None = None) -> _Decorator:
    """Make an option that takes a whole number; `names` are click's."""
    return click.option(*names, type=click.IntRange(least, most), default=default, show_default=True, help=says)


def rate(*, says: str, default: float = 0.0) -> _Decorator:
    """Make the option `--rate`, handed on as `rate_per_s`."""
    return click.option("--rate", "rate_per_s", type=click.FloatRange(0), default=default, show_default=True, help=says)


def common_options(command: Callable[..., None]) -> Callable[..., None]:
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
        target = read_target(url, "--url")
        offered = _offered_credentials() if api_key is None or secret is None else None
        if cpu_client is not None and cpu_client >= (os.cpu_count() or 1):
            raise click.BadParameter(
                f"there is no core {cpu_client}, the last is {(os.cpu_count() or 1) - 1}", param_hint="--cpu-client"
            )
        api_key = api_key if api_key is not None else (offered.api_key if offered else "")
        secret = secret if secret is not None else (offered.secret if offered else "")
        command(common=Common(target, api_key, secret, processes, output, pid, cpu_client, quiet), **options)

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
    count("--processes", default=1, most=1024, says="Processes that hold the subscribers."),
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

source_addresses = count(
    "--source-addresses", default=1, most=50_000, says="Loopback addresses to connect from; one has some 28,000 ports."
)


def read_target(url: str, option: str) -> Target:
    """Read an address.

    Raises:
        click.BadParameter: It is none, or not of http or https.
    """
    try:
        return parse_target(url)
    except BadTarget as exc:
        raise click.BadParameter(str(exc), param_hint=option) from exc


def need_api_key(common: Common) -> None:
    """Refuse to go on without a key.

    Raises:
        click.UsageError: There is none.
    """
    if not common.api_key:
        raise click.UsageError("an API key is needed: --api-key, HELIOGRAPH_API_KEY, or a ./data of development mode")


def _offered_credentials() -> Credentials | None:
    """Ask the composition root, where there is one."""
    offer = click.get_current_context().meta.get(CREDENTIALS)
    return offer() if offer is not None else None
