"""What settings there are, read from their model: for the loader's hints, `heliograph init`, the reference and the schema.

Nothing here knows a single setting by name, so that none can be forgotten.
"""

import json
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo

from config.durations import format_duration
from config.settings import Settings

__all__ = ["ENVIRONMENT_PREFIX", "Setting", "json_schema", "list_settings", "setting_at", "variable_of"]

ENVIRONMENT_PREFIX = "HELIOGRAPH_"


class Setting(msgspec.Struct, frozen=True):
    """One setting.

    `path` is dotted; below a list of tables it holds `[]` (`channel.namespaces[].name`). `kind` says what values it takes;
    `default` is written as in a settings file, "" where there is none (a secret, or a setting that must be set).
    """

    path: str
    kind: str
    default: str
    description: str
    is_secret: bool = False

    @property
    def section(self) -> str:
        """The table of the file that the setting stands in."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key within its table."""
        return self.path.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that sets it; "" for what stands in a list of tables."""
        return "" if "[]" in self.path else variable_of(self.path)


def list_settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Setting]:
    """List every setting, in the order of the model, sections after the settings of their own level."""
    sections: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if section := _section_of(field.annotation):
            sections.append((f"{path}.", section))
            continue
        yield _setting(path, field)
        if table := _table_of(field.annotation):
            sections.append((f"{path}[].", table))
    for path, section in sections:
        yield from list_settings(section, path)


def setting_at(path: tuple[str | int, ...]) -> Setting | None:
    """Find the setting that a path through a settings file leads to or into; None for sections and unknown names."""
    model: type[BaseModel] | None = Settings
    dotted, field = "", None
    for part in path:
        if isinstance(part, int):
            dotted += "[]"
            continue
        field = model.model_fields.get(part) if model else None
        if field is None:
            return None
        dotted = f"{dotted}.{part}".lstrip(".")
        if get_origin(field.annotation) is dict:
            break  # the names below are the operator's own
        model = _section_of(field.annotation) or _table_of(field.annotation)
    return None if field is None or _section_of(field.annotation) else _setting(dotted, field)


def variable_of(path: str) -> str:
    """Name the environment variable of a dotted path."""
    return ENVIRONMENT_PREFIX + path.upper().replace(".", "__")


def json_schema() -> dict[str, Any]:
    """Make the JSON schema of a settings file, for editors and for checks before a deployment."""
    schema = Settings.model_json_schema()
    # Defaults come from the model in seconds; a file says them in words. Those of whole sections repeat their members'.
    for definition in (schema, *schema["$defs"].values()):
        for member in definition.get("properties", {}).values():
            default = member.get("default")
            if isinstance(default, dict):
                del member["default"]
            elif member.get("type") == "string" and isinstance(default, int | float):
                member["default"] = format_duration(default)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "heliograph settings"}


def _section_of(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _table_of(annotation: Any) -> type[BaseModel] | None:
    """Tell the model of a list of tables."""
    return _section_of(get_args(annotation)[0]) if get_origin(annotation) is tuple else None


def _setting(path: str, field: FieldInfo) -> Setting:
    is_secret = _holds_secret(field.annotation)
    return Setting(
        path=path,
        kind=_kind(field.annotation, field.metadata),
        default="" if field.is_required() or is_secret else _written(field.default, field),
        description=field.description or "",
        is_secret=is_secret,
    )


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))


def _is_duration(metadata: list[Any]) -> bool:
    return any(isinstance(entry, WithJsonSchema) for entry in metadata)


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """Say in words what values a setting takes."""
    if get_origin(annotation) is tuple:
        return f"list of {_plural(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"table of {_plural(get_args(annotation)[1])}"
    if get_origin(annotation) is Literal:
        return " or ".join(json.dumps(value) for value in get_args(annotation))
    if _is_duration(metadata):
        return "duration"
    limits = {name: getattr(entry, name) for entry in metadata for name in ("ge", "le") if hasattr(entry, name)}
    bounds = ", ".join(f"{sign} {limits[name]}" for name, sign in (("ge", "≥"), ("le", "≤")) if name in limits)
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", SecretStr: "secret text"}
    return f"{words[annotation]} {bounds}".strip()


def _plural(annotation: Any) -> str:
    if _section_of(annotation):
        return "tables"
    return {str: "texts", SecretStr: "secret texts"}.get(annotation) or f"({_kind(annotation, [])})"


def _written(value: Any, field: FieldInfo) -> str:
    """Write a value as TOML."""
    if isinstance(value, NoneType):
        return ""
    if _is_duration(field.metadata):
        return json.dumps(format_duration(value))
    return json.dumps(list(value) if isinstance(value, tuple) else value)
