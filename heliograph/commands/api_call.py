"""How a command asks a running server through its HTTP API, and the lines about what can go wrong on the way."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from config.errors import SettingsError
from heliograph.commands.sources import load_from, source_options

__all__ = ["api_options", "call_api", "configured_key"]

_TIMEOUT_S: Final = 10

F = TypeVar("F", bound=Callable[..., Any])


def api_options(command: F) -> F:
    """Add the options that say which server is asked, and with which key: `url`, `api_key`, `file`, `dev`."""
    command = source_options(command)
    command = click.option(
        "--api-key", envvar="HELIOGRAPH_API_KEY", show_envvar=True, help="Key of the HTTP API; without it that of the settings."
    )(command)
    return click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Address of any node.")(command)


def configured_key(file: Path | None, dev: bool) -> str:
    """Read the first API key of the settings.

    Raises:
        SettingsError: They hold none.
    """
    keys = load_from(file, dev).loaded.settings.http_api.keys
    if not keys:
        raise SettingsError(["http_api.keys: no key is set: name one by --api-key, or use --config FILE, or --dev"])
    return keys[0].get_secret_value()


def call_api(url: str, api_key: str, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Call a method; gives its result.

    Raises:
        SettingsError: The server was not reached, or it refused; the line says which.
        click.BadParameter: The address is no web address.
    """
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--url")
    headers = {"Content-Type": "application/json", "X-API-Key": api_key}
    address = f"{url.rstrip('/')}/api/{method}"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 (above)
    answer = _answer(url, request)
    if "error" in answer:
        raise SettingsError([f"the server refused: {answer['error']['message']}"])
    result: dict[str, Any] = answer["result"]
    return result


def _answer(url: str, request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 (looked at by the caller)
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as exc:
        reason = "does not accept the API key" if exc.code == 401 else f"answered with HTTP status {exc.code}"
        raise SettingsError([f"--url: {url} {reason}"]) from None
    except (OSError, HTTPException) as exc:
        cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        text = (cause.strerror if isinstance(cause, OSError) else None) or cause
        raise SettingsError([f"--url: {url} cannot be reached: {text}"]) from None
    except ValueError:
        raise SettingsError([f"--url: {url} is no heliograph"]) from None
