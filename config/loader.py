"""Settings from all their sources, in one frozen value, or every reason why not.

Order: flags (`overrides`) win over the environment, the environment over the file, the file over `defaults` (the layer of
development mode), these over the model's own. Tables are merged key by key; a list replaces the list below it.

Nothing is echoed that could be a secret. The environment is read by hand rather than by pydantic-settings, which stops at the
first variable that it cannot read, passes over unknown ones, and does not tell where a value came from.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from config.errors import SettingsError
from config.keys import key_problems
from config.problems import describe, unknown_variable
from config.proxies import proxy_problems
from config.schema import ENVIRONMENT_PREFIX, list_settings, setting_at
from config.secret_files import DIRECTORY, FILE_SUFFIX, path_of, read_secret_files
from config.settings import Settings

__all__ = ["COMMAND_VARIABLES", "LoadedSettings", "load_settings", "load_with_origins"]

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

# Read by commands, not by the settings.
COMMAND_VARIABLES: Final = frozenset({"HELIOGRAPH_API_KEY", "HELIOGRAPH_CONFIG"})
_READ_BY_HAND: Final = COMMAND_VARIABLES | {DIRECTORY}

# What Kubernetes puts into every container beside a service that is called heliograph.
_SERVICE_LINK = re.compile(r"HELIOGRAPH_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


class LoadedSettings(msgspec.Struct, frozen=True):
    """Settings, and by dotted path where each that was set came from: a file's name, a variable, `flag` or `development`."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    file: Path | None,
    *,
    overrides: Mapping[str, Any] = NOTHING,
    defaults: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings of a process.

    Args:
        file: A TOML file; None for none.
        overrides: Values of flags, shaped like the file.
        defaults: A layer below the file, shaped like it.
        environ: The environment; None reads the process's own.
    Raises:
        SettingsError: One line for each problem, naming the setting by its dotted path.
    """
    return load_with_origins(file, overrides=overrides, defaults=defaults, environ=environ).settings


def load_with_origins(
    file: Path | None,
    *,
    overrides: Mapping[str, Any] = NOTHING,
    defaults: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Load the settings as `load_settings` does, and remember where each came from."""
    from_file, file_problems = _read_file(file)
    from_environment, variables, problems = _read_environment(os.environ if environ is None else environ)
    problems = file_problems + problems
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, origin in ((defaults, "development"), (from_file, str(file)), (from_environment, ""), (overrides, "flag")):
        _merge(merged, layer)
        origins.update((path, origin or _variable(path, variables)) for path in _paths(layer))
    if file_problems:
        raise SettingsError(problems)  # what the file would have set is unknown: more lines would only mislead
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as exc:
        raise SettingsError(problems + [describe(error, origins) for error in exc.errors()]) from None
    if problems := problems + key_problems(settings) + proxy_problems(settings):
        raise SettingsError(problems)
    return LoadedSettings(settings, origins)


def _read_file(file: Path | None) -> tuple[Mapping[str, Any], list[str]]:
    """Read a TOML file; what is wrong with it comes back as lines."""
    if file is None:
        return {}, []
    try:
        return tomllib.loads(file.read_bytes().decode()), []
    except OSError as exc:
        return {}, [f"{file}: cannot be read: {exc.strerror}"]
    except UnicodeDecodeError as exc:
        return {}, [f"{file}: must be UTF-8 text, byte {exc.start + 1} is not"]
    except tomllib.TOMLDecodeError as exc:
        # "Invalid value (at line 3, column 5)": the place belongs in front, as editors and people look for it there.
        reason, _, place = str(exc).rstrip(")").rpartition(" (at ")
        return {}, [f"{file}: {place}: {reason[:1].lower()}{reason[1:]}" if reason else f"{file}: {exc}"]


def _read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Read the variables of settings into a tree shaped like a file.

    Returns:
        The tree, the variable of each dotted path, and a line for each variable that is unknown or is no JSON.
    """
    values: dict[str, Any] = {}
    variables: dict[str, str] = {}
    problems: list[str] = []
    known = {setting.variable: setting.path for setting in list_settings() if setting.variable}
    problems += _read_files(environ, known, values, variables)
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or _belongs_elsewhere(variable) or path_of(variable, known) is not None:
            continue
        path = known.get(variable.upper())
        if path is None:
            problems.append(unknown_variable(variable, known))
            continue
        try:
            value = _parse(environ[variable], path)
        except ValueError as exc:
            problems.append(f"{path}: {exc} (from {variable})")
            continue
        if (file_variable := f"{variable.upper()}{FILE_SUFFIX}") == variables.get(path, "").upper():
            problems.append(f"{path}: is set by {variable} and by {file_variable}: which of both holds could not be told")
        variables[path] = variable
        _merge(values, _nested(path.split("."), value))
    return values, variables, problems


def _read_files(
    environ: Mapping[str, str], known: Mapping[str, str], values: dict[str, Any], variables: dict[str, str]
) -> list[str]:
    """Read what stands in files of its own into the tree; what is wrong comes back as lines."""
    problems: list[str] = []
    for told in read_secret_files(environ, known):
        if told.problem:
            problems.append(told.problem)
            continue
        try:
            value = _parse(told.text, told.path)
        except ValueError as exc:
            problems.append(f"{told.path}: {exc} (from {told.origin})")
            continue
        variables[told.path] = told.origin
        _merge(values, _nested(told.path.split("."), value))
    return problems


def _belongs_elsewhere(variable: str) -> bool:
    return variable in _READ_BY_HAND or _SERVICE_LINK.fullmatch(variable) is not None


def _parse(text: str, path: str) -> Any:
    """Read a variable's text; lists and tables are JSON, all else is understood by the model."""
    setting = setting_at(tuple(path.split(".")))
    if setting is None or not setting.kind.startswith(("list of", "table of")):
        return text
    example = 'list such as ["a", "b"]' if setting.kind.startswith("list of") else 'object such as {"a": "b"}'
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"must be a JSON {example}") from None


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lay `layer` over `into`; tables are merged, everything else is replaced."""
    for name, value in layer.items():
        if isinstance(value, Mapping):
            below = into.get(name)
            merged = dict(below) if isinstance(below, Mapping) else {}
            _merge(merged, value)
            into[name] = merged
        else:
            into[name] = value


def _variable(path: str, variables: Mapping[str, str]) -> str:
    """Find the variable that set a path; one sets a whole table of names that are the operator's own."""
    return next(variable for known, variable in variables.items() if path == known or path.startswith(f"{known}."))


def _paths(layer: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """List the dotted paths that a layer sets."""
    for name, value in layer.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
