import pytest

from config.schema import json_schema, list_settings, setting_at, variable_of
from config.settings import Settings


def test_lists_every_leaf_once() -> None:
    paths = [setting.path for setting in list_settings()]

    assert len(paths) == len(set(paths))
    assert {"http.port", "client.token.hmac_secret_key", "channel.namespaces", "channel.namespaces[].name"} <= set(paths)


def test_describes_every_setting() -> None:
    assert [setting.path for setting in list_settings() if not setting.description] == []


@pytest.mark.parametrize(
    ("path", "kind", "default", "is_secret"),
    [
        ("http.port", "whole number ≥ 0, ≤ 65535", "8000", False),
        ("client.ping_interval", "duration", '"25s"', False),
        ("client.token.hmac_secret_key", "secret text", "", True),
        ("http_api.keys", "list of secret texts", "", True),
        ("client.allowed_origins", "list of texts", "[]", False),
        ("notifications.retry_base", "duration", '"100ms"', False),
        ("http_api.error_mode", '"" or "transport"', '""', False),
        ("channel.namespaces[].name", "text", "", False),
    ],
)
def test_says_what_a_setting_takes(path: str, kind: str, default: str, is_secret: bool) -> None:
    setting = next(entry for entry in list_settings() if entry.path == path)

    assert (setting.kind, setting.default, setting.is_secret) == (kind, default, is_secret)


def test_finds_settings_by_the_path_of_an_error() -> None:
    assert getattr(setting_at(("http_api", "keys", 0)), "path", "") == "http_api.keys[]"
    assert getattr(setting_at(("channel", "namespaces", 3, "name")), "path", "") == "channel.namespaces[].name"
    assert getattr(setting_at(("channel", "namespaces")), "path", "") == "channel.namespaces"
    for path in ((), ("client",), ("client", "token"), ("nope",), ("http", "port", "x")):
        assert setting_at(path) is None


def test_names_variables() -> None:
    assert variable_of("client.token.hmac_secret_key") == "HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY"
    assert {setting.variable for setting in list_settings() if "[]" in setting.path} == {""}


def test_makes_a_json_schema_with_defaults_as_files_write_them() -> None:
    schema = json_schema()
    client = schema["$defs"]["ClientSettings"]["properties"]

    assert set(schema["properties"]) == set(Settings.model_fields)
    assert client["ping_interval"]["default"] == "25s"
    assert "default" not in client["token"]
    assert schema["additionalProperties"] is False
