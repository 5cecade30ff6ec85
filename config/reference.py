"""The page `docs/reference/settings.md`, made from the settings' model: `python -m config.reference` prints it."""

import sys
from collections.abc import Iterator

from config.schema import Setting, list_settings

__all__ = ["render_reference"]

_HEAD = """\
# Settings

Made from the code by `python -m config.reference`; a test holds it to that. A file in TOML holds sections and names as they
stand here; every setting has an environment variable, made of its path: `client.ping_interval` is
`HELIOGRAPH_CLIENT__PING_INTERVAL`. Lists in the environment are JSON: `HELIOGRAPH_HTTP_API__KEYS='["k"]'`. Flags win over the
environment, the environment over the file, the file over the defaults.

Durations are texts of numbers with the units `ms`, `s`, `m`, `h`: `"300ms"`, `"25s"`, `"1h30m"`. All settings are read at the
start of a process: to change one in a running fleet, change it everywhere and restart the processes one after another.
`heliograph config check` tells what is wrong, `heliograph config show` what holds and where each value comes from.
"""

_NAMESPACES = "channel.namespaces[]"
_OPTIONS = "channel.without_namespace"


def render_reference() -> str:
    """Write the page: a table for each section, in the order of the model."""
    sections: dict[str, list[Setting]] = {}
    for setting in list_settings():
        sections.setdefault(setting.section, []).append(setting)
    names = {setting.name for setting in sections[_OPTIONS]}
    sections[_NAMESPACES] = [setting for setting in sections[_NAMESPACES] if setting.name not in names]
    return "\n".join([_HEAD, *(line for section, settings in sections.items() for line in _table(section, settings))])


def _table(section: str, settings: list[Setting]) -> Iterator[str]:
    yield f"## {section or 'At the top'}\n"
    if section == _NAMESPACES:
        yield f"One table `[[channel.namespaces]]` for each namespace, with every option of `{_OPTIONS}` and its own:\n"
    yield "| setting | takes | default | meaning |"
    yield "|---|---|---|---|"
    for setting in settings:
        default = f"`{setting.default}`" if setting.default else ""
        if len(default) > 60:
            default = "a list, see `heliograph init`"
        yield f"| `{setting.name}` | {setting.kind} | {default} | {setting.description} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(render_reference())
