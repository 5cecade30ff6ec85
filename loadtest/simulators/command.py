"""The command `simulate`: all simulators in the foreground, with the settings that point at them ready to paste."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import uvloop

from loadtest.simulators.credentials import CredentialsUnreadable
from loadtest.simulators.process import run_simulators
from loadtest.simulators.sms import HOOK_PATH
from loadtest.simulators.suite import Ports, Simulators

__all__ = ["port_options", "simulate"]

P = ParamSpec("P")
R = TypeVar("R")


def port_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command one option per port, handed over together as `ports`."""

    @functools.wraps(command)
    def collect(**given: Any) -> R:
        ports = Ports(**{name: given.pop(f"{name}_port") for name in Ports.__struct_fields__})
        return command(ports=ports, **given)

    for name in reversed(Ports.__struct_fields__):
        option = click.option(
            f"--{name}-port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; a free one if left out."
        )
        collect = option(collect)
    return collect


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/simulators"),
    show_default=True,
    help="Folder where keys are kept.",
)
@port_options
def simulate(data: Path, ports: Ports) -> None:
    """Run simulators of APNs, FCM, a Web Push service, a mail relay, text messages and webhooks.

    They speak the real protocols on loopback, refuse what the real services refuse, and show what they took.
    """
    try:
        uvloop.run(run_simulators(data, ports, announce=_show, ends_with_input=False))
    except (CredentialsUnreadable, OSError) as exc:
        raise click.UsageError(str(exc)) from exc


def _show(simulators: Simulators) -> None:
    settings = simulators.providers
    click.echo(f"APNs       {settings['apns']['url']}")
    click.echo(f"FCM        {settings['fcm']['url']}")
    click.echo(f"Web Push   https://{settings['webpush']['connect_to']}")
    click.echo(f"SMTP       {settings['email']['url']}")
    for relay in simulators.relays.values():
        click.echo(f"           {relay['url']}  (login {relay['username']}, password {relay['password']})")
    click.echo(f"SMS        {settings['sms']['url']}  (signed webhook at {HOOK_PATH})")
    click.echo(f"Webhooks   https://{settings['webhook']['connect_to']}")
    click.echo(f"Control    {simulators.control}/outbox · /webpush/subscriptions · /faults · /stats · /reset")
    click.echo("\nSettings that point at them:\n")
    click.echo(format_providers(settings))
    click.echo("Running until Ctrl-C.")


def format_providers(settings: dict[str, dict[str, Any]]) -> str:
    """Write the sections of `[providers]` as TOML."""
    lines = []
    for section, values in settings.items():
        lines.append(f"[providers.{section}]")
        # A JSON string or list of strings is a TOML basic string or array, escapes included.
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        lines.append("")
    return "\n".join(lines)
