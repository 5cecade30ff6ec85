import stat
from pathlib import Path

import pytest

from config.loader import load_settings
from config.readiness import advise, check_ready


@pytest.mark.parametrize("args", [[], ["other.toml"]])
def test_writes_a_file_that_starts(run, directory, args) -> None:
    ended = run("init", *args)
    file = directory / (args[0] if args else "heliograph.toml")
    settings = load_settings(file, environ={})

    assert ended.code == 0
    assert f"heliograph serve --config {file.name}" in ended.out
    assert (check_ready(settings), advise(settings)) == ([], [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_makes_fresh_secrets_each_time(run, directory) -> None:
    secrets = set()
    for name in ("a.toml", "b.toml"):
        run("init", name)
        settings = load_settings(directory / name, environ={})
        secrets |= {settings.client.token.hmac_secret_key.get_secret_value(), settings.http_api.keys[0].get_secret_value()}

    assert len(secrets) == 4
    assert all(len(secret) >= 32 for secret in secrets)


def test_shows_no_secret(run, directory) -> None:
    ended = run("init")
    settings = load_settings(directory / "heliograph.toml", environ={})

    assert settings.http_api.keys[0].get_secret_value() not in ended.out + ended.err


def test_never_overwrites(run, directory) -> None:
    Path("heliograph.toml").write_text("mine")
    ended = run("init")

    assert (ended.code, len(ended.problems)) == (2, 1)
    assert "heliograph.toml: exists already" in ended.err
    assert Path("heliograph.toml").read_text() == "mine"


def test_says_where_it_cannot_write(run) -> None:
    ended = run("init", "missing/heliograph.toml")

    assert ended.problems == ["heliograph: missing/heliograph.toml: cannot be written: No such file or directory"]
