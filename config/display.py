"""Settings as an operator may see them: each with its value and where it came from, secrets and passwords hidden."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from pydantic import BaseModel, SecretStr

from config.durations import format_duration
from config.loader import LoadedSettings
from config.schema import Setting, list_settings

__all__ = ["ShownSetting", "hide_password", "show_settings"]

HIDDEN = "…"

_USER_INFO = re.compile(r"(://[^:/?#@]*):[^/?#]*@")
_PASSWORD_QUERY = re.compile(r"([?&](?:password|sslpassword)=)[^&]*")
# Of pages and hooks any part may be what lets one in: a name before the @, a value in the query, a random part of the path.
_WEB = re.compile(r"https?://", re.IGNORECASE)
_WEB_USER = re.compile(r"(://)[^/?#@]*@")
_WEB_QUERY = re.compile(r"([?&][^=&#]*=)[^&#]*")
_WEB_RANDOM = re.compile(r"(?<=/)(?=[^/?#]*[0-9])[A-Za-z0-9_-]{16,}(?=[/?#]|$)")


class ShownSetting(msgspec.Struct, frozen=True):
    """A setting's path, its value in TOML with secrets hidden, and its origin, "" for the default."""

    path: str
    value: str
    origin: str


def show_settings(loaded: LoadedSettings) -> Iterator[ShownSetting]:
    """List all settings that hold, in the order of the model."""
    for setting in list_settings():
        if "[]" in setting.path:
            continue
        value: Any = loaded.settings
        for name in setting.path.split("."):
            value = getattr(value, name)
        shown = json.dumps(format_duration(value)) if setting.kind == "duration" else _written(value)
        yield ShownSetting(setting.path, shown, _origin(setting, loaded))


def _origin(setting: Setting, loaded: LoadedSettings) -> str:
    """Tell where a setting came from; of a table, where the first of its names did."""
    is_table = setting.kind.startswith("table of")
    start = f"{setting.path}." if is_table else setting.path
    return next(
        (origin for path, origin in loaded.origins.items() if path == setting.path or (is_table and path.startswith(start))), ""
    )


def hide_password(address: str) -> str:
    """Hide what stands for a password in an address: `postgresql://user:…@host/db`, `https://host/hook?key=…`."""
    if _WEB.match(address):
        return _WEB_QUERY.sub(rf"\1{HIDDEN}", _WEB_RANDOM.sub(HIDDEN, _WEB_USER.sub(rf"\1{HIDDEN}@", address)))
    return _PASSWORD_QUERY.sub(rf"\1{HIDDEN}", _USER_INFO.sub(rf"\1:{HIDDEN}@", address))


def _written(value: Any) -> str:
    if isinstance(value, SecretStr):
        return json.dumps(HIDDEN if value.get_secret_value() else "", ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(_written(entry) for entry in value)}]"
    if isinstance(value, dict):
        return (
            f"{{ {', '.join(f'{json.dumps(name)} = {_written(entry)}' for name, entry in value.items())} }}" if value else "{}"
        )
    if isinstance(value, BaseModel):
        # An element of a list of tables: what was set in it is enough.
        pairs = ((name, getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set)
        return f"{{ {', '.join(f'{name} = {_written(entry)}' for name, entry in pairs)} }}"
    return json.dumps(hide_password(value) if isinstance(value, str) else value, ensure_ascii=False)
