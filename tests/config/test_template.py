import re
import tomllib
from pathlib import Path

from config.loader import load_settings
from config.schema import list_settings
from config.settings import Settings
from config.template import render_template

TEXT = render_template(hmac_secret='quoted " secret', api_key="key")


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "heliograph.toml"
    file.write_text(text)
    return load_settings(file, environ={})


def test_holds_the_secrets(tmp_path) -> None:
    settings = load(tmp_path, TEXT)

    assert settings.client.token.hmac_secret_key.get_secret_value() == 'quoted " secret'
    assert [key.get_secret_value() for key in settings.http_api.keys] == ["key"]
    assert settings.client.subscribe_to_user_personal_channel.enabled


def test_names_every_setting_and_no_other() -> None:
    section, named = "", set()
    for line in TEXT.splitlines():
        if header := re.fullmatch(r"#?\[+([\w.]+)\]+", line):
            section = header[1]
        elif entry := re.match(r"#?(\w+) = ", line):
            named.add(f"{section}.{entry[1]}")
    lists = ("channel.namespaces", "proxies", "consumers", "roles")
    known = {setting.path for setting in list_settings() if "[]" not in setting.path}

    assert known - set(lists) <= named
    assert {path for path in named - known if path.rpartition(".")[0] not in lists} == set()


def test_begins_with_what_a_first_start_needs() -> None:
    headers = re.findall(r"(?m)^#?(\[+[\w.]+\]+)$", TEXT)

    assert headers[0] == "[http]"
    assert headers[-4:] == ["[policy]", "[[proxies]]", "[[consumers]]", "[[roles]]"]


def test_states_defaults_truly(tmp_path) -> None:
    without_hash = re.sub(r"(?m)^#(\w+ = )", r"\1", TEXT.replace("#[[", "[["))
    settings, plain = load(tmp_path, without_hash), load(tmp_path, TEXT)

    assert settings.channel.namespaces[0].name == "chat"
    assert settings.proxies[0].name == "orders"
    assert settings.consumers[0].name == "outbox"
    assert settings.roles[0].name == "editor"
    rest = {"channel": {"namespaces"}, "proxies": True, "consumers": True, "roles": True}
    assert settings.model_dump(exclude=rest) == plain.model_dump(exclude=rest)


def test_recommends_limits_of_providers(tmp_path) -> None:
    assert load(tmp_path, TEXT).providers.fcm.rate_per_s == 9000
    assert Settings().providers.fcm.rate_per_s == 0


def test_fits_a_terminal() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 110 and "allowed_hosts" not in line] == []


def test_is_toml_in_utf8() -> None:
    examples = {"proxies", "consumers", "roles"}
    assert set(tomllib.loads(TEXT)) == set(Settings.model_fields) - examples, "examples that are commented out"
