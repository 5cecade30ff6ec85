"""The command `heliograph`.

Exit codes: 0 done; 2 an error of use or of settings, with one line for each problem on standard error; 130 interrupted. What is
left, a traceback and code 1, is a bug of ours.
"""

import gc
import os
import sys
from typing import Any, Final

import click

from config.errors import SettingsError
from heliograph.groups import LateCommand, LateGroup

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "serve": LateCommand("heliograph.commands.serve:serve", "Serve clients, the HTTP API and the notification pipeline."),
    "gateway": LateCommand("heliograph.commands.gateway:gateway", "Serve clients and the HTTP API, without the pipeline."),
    "pusher": LateCommand("heliograph.commands.pusher:pusher", "Run the notification pipeline alone."),
    "shed": LateCommand("heliograph.commands.shed:shed", "Send a share of a node's clients elsewhere."),
    "dead-letters": LateCommand(
        "heliograph.commands.dead_letters:dead_letters", "Look at what could not be delivered, and have it tried anew."
    ),
    "campaign": LateCommand(
        "heliograph.commands.campaigns:campaign", "Look how campaigns stand, change their rate, pause, resume or cancel them."
    ),
    "admin": LateCommand("heliograph.commands.admin:admin", "Prepare the operator's page."),
    "audit": LateCommand("heliograph.commands.audit:audit", "Search, export and verify who did what."),
    "statistics": LateCommand("heliograph.commands.statistics:statistics", "Count what became of notifications."),
    "override": LateCommand(
        "heliograph.commands.override:override", "Say that something is otherwise for a while, and take it back."
    ),
    "status-webhook": LateCommand(
        "heliograph.commands.status_webhook:status_webhook", "Tell how the status webhook stands, and switch it on again."
    ),
    "template": LateCommand(
        "heliograph.commands.template:template", "Look templates over, try them out, and put them into a server."
    ),
    "key": LateCommand("heliograph.commands.key:key", "Make keys of the HTTP API, and take them back."),
    "policy": LateCommand("heliograph.commands.policy:policy", "Look policies over, and try them on cases."),
    "init": LateCommand("heliograph.commands.init:init", "Write a settings file with fresh secrets."),
    "config": LateCommand("heliograph.commands.config:config", "Check, show and describe settings."),
    "db": LateCommand("heliograph.commands.db:db", "Bring the store's tables up to date, or look how they stand."),
    "token": LateCommand("heliograph.commands.token:token", "Make tokens for clients, and find out why one is refused."),
    "loadtest": LateCommand("loadtest.command:loadtest", "Measure a deployment with a swarm of clients."),
    "simulate": LateCommand("loadtest.simulators.command:simulate", "Run simulators of all providers."),
}


@click.group(cls=LateGroup, late=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heliograph", message="heliograph %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Messages to whoever is there, notifications to whoever is not."""
    ctx.meta["loadtest.credentials"] = _development_credentials


def _development_credentials() -> Any:
    """Offer a load test the credentials of the development server that runs in this directory, if one ever did."""
    from heliograph.development import DATA_DIRECTORY, SECRETS_FILE, open_development
    from loadtest.command import Credentials

    if not (DATA_DIRECTORY / SECRETS_FILE).exists():
        return None
    development = open_development()
    return Credentials(development.api_key, development.hmac_secret)


def main(args: list[str] | None = None) -> None:
    """Run the command and leave the process: the entry point."""
    # Nearly all that a start makes is modules, which stay: looking for garbage among them was a tenth of its time.
    gc.set_threshold(50_000, 20, 100)
    sys.exit(_run(args))


def _run(args: list[str] | None) -> int:
    try:
        result = cli.main(args, prog_name="heliograph", standalone_mode=False)
    except SettingsError as exc:
        return _refuse("heliograph", exc.problems)
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return 2
    except click.UsageError as exc:
        return _refuse(exc.ctx.command_path if exc.ctx else "heliograph", [exc.format_message()])
    except click.ClickException as exc:
        return _refuse("heliograph", [exc.format_message()])
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not stumble over it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _refuse(command: str, problems: list[str]) -> int:
    for problem in problems:
        click.echo(f"{command}: {' '.join(problem.split())}", err=True)
    return 2
