"""The settings files that ship with the project are good, and the one for the public client suites says what these assume."""

from pathlib import Path

import pytest

from config.loader import load_settings
from config.readiness import check_ready

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda file: file.name)
def test_ships_files_that_start(file: Path) -> None:
    assert check_ready(load_settings(file, environ={})) == []


def test_assumes_what_the_public_suites_assume() -> None:
    settings = load_settings(EXAMPLES / "conformance.toml", environ={})
    options = settings.channel.without_namespace

    assert (settings.client.insecure, settings.client.concurrency) == (True, 8)
    assert settings.client.token.hmac_secret_key.get_secret_value() == "secret"
    assert [key.get_secret_value() for key in settings.http_api.keys] == ["test-api-key", "api_key"]
    assert [entry.name for entry in settings.channel.namespaces] == ["recovery", "smallhistory", "delta"]
    assert (options.history_size, options.history_ttl, options.force_recovery) == (100, 300.0, True)
    assert not settings.rpc.ping.enabled
