import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from config.errors import SettingsError
from config.readiness import advise, check_ready
from gateway.origins import is_origin_allowed
from heliograph.development import banner, open_development


def opened(directory: Path, environ: dict[str, str] | None = None, **overrides: Any):
    return open_development(directory / "data", overrides=overrides, environ=environ or {})


def test_makes_secrets_once_and_keeps_them_private(directory) -> None:
    first = opened(directory)
    file = directory / "data" / "development.toml"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(first.hmac_secret) >= 32
    assert len(first.api_key) >= 20
    again = opened(directory)
    assert (again.hmac_secret, again.api_key) == (first.hmac_secret, first.api_key)
    assert [entry.name for entry in (directory / "data").iterdir()] == ["development.toml"]


def test_makes_other_secrets_in_another_directory(directory) -> None:
    assert opened(directory / "a").api_key != opened(directory / "b").api_key


def test_shares_secrets_among_servers_that_start_at_once(directory) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: opened(directory).api_key, range(64)))

    assert len(keys) == 1
    assert [entry.name for entry in (directory / "data").iterdir()] == ["development.toml"]


@pytest.mark.parametrize("text", ["", "x", "[http_api]\nkeys = []\n", '[client]\ntoken = 5\n[http_api]\nkeys = ["k"]\n'])
def test_refuses_a_damaged_file(directory, text) -> None:
    (directory / "data").mkdir()
    (directory / "data" / "development.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"development\.toml: is damaged; delete it"):
        opened(directory)


def test_refuses_a_directory_that_it_cannot_use(directory) -> None:
    (directory / "data").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be used"):
        opened(directory)


def test_lets_those_with_a_token_do_everything_and_nobody_else_anything(directory) -> None:
    development = opened(directory)
    settings = development.settings()
    options = settings.channel.without_namespace

    assert check_ready(settings) == []
    assert advise(settings) == []
    assert not settings.client.insecure
    assert not settings.http_api.insecure
    assert [key.get_secret_value() for key in settings.http_api.keys] == [development.api_key]
    assert (options.history_size, options.history_ttl, options.force_recovery) == (100, 300.0, True)
    assert options.presence and options.join_leave
    for name in ("subscribe", "publish", "history", "presence"):
        assert getattr(options, f"allow_{name}_for_client")
        assert not getattr(options, f"allow_{name}_for_anonymous")
    assert settings.client.subscribe_to_user_personal_channel.enabled
    assert settings.health.enabled and settings.prometheus.enabled and settings.rpc.ping.enabled
    assert settings.store.url == f"sqlite:///{directory / 'data' / 'heliograph.db'}"


def test_lets_environment_and_flags_win(directory) -> None:
    environ = {"HELIOGRAPH_HTTP__PORT": "9001", "HELIOGRAPH_HTTP_API__KEYS": '["mine"]', "HELIOGRAPH_HTTP__HOST": "::1"}
    settings = opened(directory, environ, http={"port": 9002}).settings()

    assert (settings.http.port, settings.http.host) == (9002, "::1")
    assert settings.http_api.keys[0].get_secret_value() == "mine"


def test_wires_the_simulators_in_below_environment(directory) -> None:
    environ = {"HELIOGRAPH_PROVIDERS__EMAIL__SENDER": "me@example.org"}
    providers = {"email": {"url": "smtp+plain://127.0.0.1:2525", "sender": "dev@example.org"}}
    email = opened(directory, environ).settings(providers).providers.email

    assert (email.url, email.sender) == ("smtp+plain://127.0.0.1:2525", "me@example.org")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_listens_on_loopback_only(directory, host) -> None:
    with pytest.raises(SettingsError, match=r"http\.host: development mode listens on loopback only"):
        opened(directory, http={"host": host}).settings()


@pytest.mark.parametrize("port", [8000, 9001])
def test_lets_pages_of_its_own_port_in(directory, port) -> None:
    allowed = opened(directory, http={"port": port}).settings().client.allowed_origins

    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert is_origin_allowed(f"http://{host}:{port}", allowed)
    for origin in (
        f"http://127.0.0.1:{port + 1}",
        f"http://example.org:{port}",
        "null",
        f"http://localhost:{port}.example.org",
    ):
        assert not is_origin_allowed(origin, allowed)


def test_takes_the_port_that_was_free(directory) -> None:
    allowed = opened(directory, http={"port": 0}).settings(port=4711).client.allowed_origins

    assert is_origin_allowed("http://localhost:4711", allowed)
    assert not is_origin_allowed("http://localhost:4712", allowed)


def test_prints_what_a_newcomer_needs(directory) -> None:
    development = opened(directory, http={"port": 8123})
    lines = banner(development.settings(), development).splitlines()

    assert f"API key: {development.api_key}" in lines
    assert "Open http://127.0.0.1:8123/" in lines
    assert any(line.strip().startswith("curl http://127.0.0.1:8123/api/publish") for line in lines)
    assert any(line.strip().startswith("curl http://127.0.0.1:8123/api/notify") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_prints_the_key_that_counts(directory) -> None:
    development = opened(directory, {"HELIOGRAPH_HTTP_API__KEYS": '["mine"]'}, http={"host": "::1"})
    text = banner(development.settings(), development)

    assert "API key: mine\n" in text
    assert development.api_key not in text
    assert "Open http://[::1]:8000/" in text


def test_keeps_secrets_in_a_file_shaped_like_settings(directory) -> None:
    development = opened(directory)
    written = tomllib.loads((directory / "data" / "development.toml").read_text())

    assert written["client"]["token"]["hmac_secret_key"] == development.hmac_secret
