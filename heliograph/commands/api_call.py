"""How a command asks a running server through its HTTP API, and the lines about what can go wrong on the way."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import wraps
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from config.errors import SettingsError
from heliograph.commands.sources import load_from, source_options

__all__ = ["api_options", "call_api", "configured_key"]

_TIMEOUT_S: Final = 10
_URL: Final = "http://127.0.0.1:8000"

F = TypeVar("F", bound=Callable[..., Any])


def api_options(command: F) -> F:
    """Add the options that say which server is asked, and with which key: `url`, `api_key`, `file`, `dev`."""

    @wraps(command)
    def call(*args: Any, url: str | None, file: Path | None, dev: bool, **options: Any) -> Any:
        return command(*args, url=url if url is not None else _configured_url(file, dev), file=file, dev=dev, **options)

    with_sources = source_options(cast("F", call))
    with_key = click.option(
        "--api-key", envvar="HELIOGRAPH_API_KEY", show_envvar=True, help="Key of the HTTP API; without it that of the settings."
    )(with_sources)
    return click.option(
        "--url", help=f"Address of any node; without it that of the settings where they are named, else {_URL}."
    )(with_key)


def _configured_url(file: Path | None, dev: bool) -> str:
    """Tell where a server with these settings listens, as this machine reaches it."""
    if file is None and not dev:
        return _URL
    http = load_from(file, dev).loaded.settings.http
    if not http.port:
        return _URL
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104 (not to bind)
    return f"{'https' if http.tls.is_on else 'http'}://{f'[{host}]' if ':' in host else host}:{http.port}"


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
