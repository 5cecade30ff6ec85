"""What is wrong with settings, in lines for people: the setting by its dotted path, the rule, and what stood there.

Values are shown only where they are single words of settings that hold no secret; of sections and unknown names never.
"""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic_core import ErrorDetails

from config.schema import Setting, list_settings, setting_at

__all__ = ["describe", "unknown_variable"]

_SHOWN_MAX_CHARS = 60

# Rules by pydantic's kind of error; {…} are its own figures. Whatever is missing here keeps pydantic's words.
_RULES: Final[Mapping[str, str]] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "missing": "must be set",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
# Paths may hold passwords of addresses beside the settings that are secrets as a whole.
_UNSHOWN: Final = frozenset({"broker.url", "store.url", "providers.email.url"})


def describe(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    """Write one line about an error of validation; `origins` tells by dotted path where values came from."""
    path = _dotted(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown setting{_suggest(path)}{_origin(path, origins)}"
    setting = setting_at(error["loc"])
    rule = _rule(error)
    shown = _shown(error["input"], setting) if error["type"] != "missing" else ""
    origin = origins.get(path, "")
    notes = ", ".join(note for note in (shown, f"from {origin}" if origin else "") if note)
    return f"{path}: {rule} ({notes})" if notes else f"{path}: {rule}"


def unknown_variable(variable: str, known: Iterable[str]) -> str:
    """Write the line about an environment variable that no setting has."""
    near = get_close_matches(variable.upper(), list(known), n=1, cutoff=0.8)
    return f"{variable}: unknown variable" + (f"; did you mean {near[0]}?" if near else "")


def _rule(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context.get("error", error["msg"]))
    rule = _RULES.get(error["type"])
    return rule.format(**context).replace("'", '"') if rule else error["msg"]


def _dotted(loc: tuple[str | int, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".")


def _shown(value: Any, setting: Setting | None) -> str:
    if setting is None or setting.is_secret or setting.path in _UNSHOWN or not isinstance(value, str | int | float):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f"got {text if len(text) <= _SHOWN_MAX_CHARS else text[:_SHOWN_MAX_CHARS] + '…'}"


def _origin(path: str, origins: Mapping[str, str]) -> str:
    """Tell where an unknown name came from; below it may stand a whole table."""
    origin = next((source for known, source in origins.items() if known == path or known.startswith(f"{path}.")), "")
    return f" (from {origin})" if origin else ""


def _suggest(path: str) -> str:
    """Name the setting or section that was probably meant."""
    section, _, name = path.rpartition(".")
    paths = [setting.path for setting in list_settings()]
    inside = _names_in(section, paths)
    if near := get_close_matches(name, inside, n=1, cutoff=0.7):
        return f"; did you mean {f'{section}.' if section else ''}{near[0]}?"
    elsewhere = [known for known in paths if known.endswith(f".{name}")]
    return f"; did you mean {elsewhere[0]}?" if elsewhere else ""


def _names_in(section: str, paths: list[str]) -> list[str]:
    """List the settings and sections right below a section; a list's elements share one name."""
    prefix = "".join("[]" if part.isdigit() else part for part in section.replace("[", "\0").replace("]", "\0").split("\0"))
    start = f"{prefix}." if prefix else ""
    return sorted({path[len(start) :].split(".")[0].removesuffix("[]") for path in paths if path.startswith(start)})
