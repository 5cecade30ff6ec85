"""The settings file that `heliograph init` writes: every setting with its meaning, most of them commented out.

It is made from the model, so that it names all settings and no others. A line that begins with `#` right before a name is a
setting at its default; removing the `#` changes nothing. A line that begins with `# ` is text.
"""

import json
import textwrap
from collections.abc import Iterator
from typing import Final

from config.schema import Setting, list_settings

__all__ = ["render_template"]

_WIDTH = 110

_HEAD = """\
# Settings of heliograph. Run it by: heliograph serve --config THIS_FILE
# Every setting can also come from the environment, which wins over this file: ping_interval of [client] is
# HELIOGRAPH_CLIENT__PING_INTERVAL; lists are JSON. `heliograph config check` tells what is wrong with it.
# This file holds secrets: keep it out of version control and readable by the server only.
"""

# What stands in the file instead of a default, each with its reason.
_CHOSEN: Final = {
    "broker.url": ('"memory://"', ""),
    "store.url": ('"sqlite:///./data/heliograph.db"', ""),
    "http.host": ('"127.0.0.1"', "0.0.0.0 behind a load balancer or in a container."),
    "http.port": ("8000", ""),
    "client.subscribe_to_user_personal_channel.enabled": ("true", ""),
    "providers.fcm.rate_per_s": ("9000", "Recommended: 90 % of a project's usual quota of 600,000 a minute."),
    "providers.fcm.burst": ("1000", ""),
}

# What is recommended where it is needed, and would surprise where it is not.
_ADVICE: Final = {
    "health.enabled": "Recommended where a balancer or a supervisor asks.",
    "admin.users": "Write [[admin.users]] behind this section, once for each: name, password_hash (what `heliograph admin "
    'hash-password` prints) and role, "read" or "operator".',
    "providers.fcm.rate_per_device": 'Recommended: ["200/min burst 40", "4500/h burst 500"], within the 240 a minute and 5,000 '
    "an hour that a device takes.",
    **{
        f"providers.{provider}.rate_per_user": 'Recommended: ["30/h"].'
        for provider in ("apns", "fcm", "webpush", "email", "sms")
    },
}

_EXAMPLES: Final = {
    "proxies": """\
#[[proxies]]
#name = "orders"
#endpoint = "http://127.0.0.1:3000/orders"
""",
    "consumers": """\
#[[consumers]]
#name = "outbox"
#type = "postgresql"
""",
    "roles": """\
#[[roles]]
#name = "editor"
#permissions = ["subscribe,publish docs:*", "history docs:{user}/*"]
""",
    "channel.namespaces": """\
#[[channel.namespaces]]
#name = "chat"
#presence = true
#join_leave = true
#history_size = 100
#history_ttl = "300s"
#force_recovery = true
#allow_subscribe_for_client = true
#allow_publish_for_subscriber = true
#allow_presence_for_subscriber = true
#allow_history_for_subscriber = true
""",
}


# What a first start has no need of stands at the end: the policy, and then lists of tables that belong to no section.
_LAST: Final = ("policy", "")


def render_template(*, hmac_secret: str, api_key: str) -> str:
    """Write the file around two fresh secrets."""
    secrets = {
        "client.token.hmac_secret_key": json.dumps(hmac_secret),
        "http_api.keys": json.dumps([api_key]),
    }
    sections: dict[str, list[Setting]] = {}
    for setting in list_settings():
        if "[]" not in setting.path:
            sections.setdefault(setting.section, []).append(setting)
    blocks = [_HEAD]
    for section, settings in sorted(sections.items(), key=lambda item: item[0] in _LAST and 1 + _LAST.index(item[0])):
        lines = [f"[{section}]"] if section else []
        for setting in settings:
            lines.extend(_lines(setting, secrets.get(setting.path)))
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _lines(setting: Setting, secret: str | None) -> Iterator[str]:
    """Write a setting: what it means, what it takes, and its value or its default behind a `#`."""
    if example := _EXAMPLES.get(setting.path):
        yield from _comment(f"{setting.description} An example:".strip())
        yield example.rstrip("\n")
        return
    value, reason = _CHOSEN.get(setting.path, (secret, _ADVICE.get(setting.path, "")))
    yield from _comment(" ".join(part for part in (setting.description, reason, f"({setting.kind})") if part))
    yield f"{setting.name} = {value}" if value else f"#{setting.name} = {setting.default or _empty(setting)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _empty(setting: Setting) -> str:
    if setting.kind.startswith("table of"):
        return "{}"
    return "[]" if setting.kind.startswith("list of") else '""'
