"""`heliograph token`: what a backend does with a JWT library of its own, for trying out and for scripts; and why one fails."""

import asyncio
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import click
import jwt

from config.clock import SystemClock
from config.durations import parse_duration
from config.errors import SettingsError
from config.settings import Settings, TokenSettings
from heliograph.commands.sources import load_from, source_options
from heliograph.groups import RichCommand, RichGroup

__all__ = ["create", "inspect", "make_token", "token"]

_READ_MOST: Final = 64 * 1024


@click.group(cls=RichGroup)
def token() -> None:
    """Make tokens for clients, and find out why one is refused."""


def _read_ttl(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Read whole seconds, or a duration with units."""
    try:
        seconds = parse_duration(f"{value}s" if value.isdecimal() else value)
    except ValueError as exc:
        raise click.BadParameter(f'{exc}, or whole seconds (got "{value}")', ctx, param) from None
    if seconds <= 0:
        raise click.BadParameter("must be longer than 0", ctx, param)
    return seconds


@token.command(cls=RichCommand)
@click.option("--user", required=True, help='Whom the token speaks for; "" for anonymous.')
@click.option("--channel", help="Make a subscription token for this channel.")
@click.option("--ttl", callback=_read_ttl, default="1h", show_default=True, help="How long it is valid: 3600, 90s, 24h.")
@source_options
def create(user: str, channel: str | None, ttl: float, file: Path | None, dev: bool) -> None:
    """Print a token, signed with the HMAC secret of the settings."""
    settings = load_from(file, dev).loaded.settings
    click.echo(make_token(settings, user=user, channel=channel, ttl_s=ttl, now=SystemClock().now().timestamp()))


@token.command(cls=RichCommand)
@click.argument("text", metavar="[TOKEN]", default="-")
@source_options
def inspect(text: str, file: Path | None, dev: bool) -> None:
    """Say in words why a token is refused, or what it grants; without TOKEN, or with -, it is read from standard input.

    Ends with code 1 where it is refused. Keys that issuers publish are fetched; who was kept out is read from the store.
    """
    from heliograph.inspecting import inspect_with  # late: the other commands are quick without it

    settings = load_from(file, dev).loaded.settings
    given = sys.stdin.read(_READ_MOST) if text == "-" else text
    found, notes = asyncio.run(inspect_with(settings, given.strip().removeprefix("Bearer ")))
    click.echo(f"{'accepted' if found.is_accepted else 'REFUSED'}: {found.verdict}")
    if found.advice:
        click.echo(f"what to do: {found.advice}")
    width = max((len(label) for label, _ in found.facts), default=0)
    for label, value in found.facts:
        click.echo(f"  {label:<{width}}  {value}")
    for note in notes:
        click.echo(f"note: {note}")
    if not found.is_accepted:
        raise click.exceptions.Exit(1)


def make_token(settings: Settings, *, user: str, channel: str | None, ttl_s: float, now: float) -> str:
    """Sign a token that a server with these settings accepts.

    Args:
        settings: Hold the secret, and the issuer and audience that are demanded.
        user: The user id, "" for anonymous.
        channel: Makes it a subscription token; None a connection token.
        ttl_s: Validity in seconds from `now`, which is in Unix seconds.
    Raises:
        SettingsError: There is no secret to sign with.
    """
    own_keys = channel is not None and settings.client.subscription_token.enabled
    section, keys = (
        ("client.subscription_token", settings.client.subscription_token)
        if own_keys
        else ("client.token", settings.client.token)
    )
    secret = keys.hmac_secret_key.get_secret_value()
    if not secret:
        raise SettingsError([_no_secret(section, keys)])
    claims: dict[str, Any] = {keys.user_id_claim: user, "iat": int(now), "exp": int(now + max(ttl_s, 1.0))}
    if channel is not None:
        claims["channel"] = channel
    if keys.audience:
        claims["aud"] = keys.audience
    if keys.issuer:
        claims["iss"] = keys.issuer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a short secret is judged by `heliograph config check`
        return jwt.encode(claims, secret, algorithm="HS256")


def _no_secret(section: str, keys: TokenSettings) -> str:
    if keys.has_key:
        return (
            f"{section}: holds public keys only, which verify but cannot sign: set {section}.hmac_secret_key, or sign elsewhere"
        )
    return f"{section}.hmac_secret_key: is not set, so that nothing can be signed (use --config FILE, or --dev)"
