"""The files for containers and systemd name what exists: paths, settings, commands. No engine is needed to see that."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from config.loader import load_settings
from heliograph.cli import cli

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"


def dockerfile() -> str:
    return (DOCKER / "Dockerfile").read_text()


def compose() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_the_image_copies_what_is_there_and_every_package():
    copied = [
        words
        for line in dockerfile().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for words in line.split()[1:-1]
    ]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(copied)


def test_what_the_image_copies_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in dockerfile().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == kept


def test_the_image_does_not_run_as_root():
    assert dockerfile().rindex("USER heliograph") < dockerfile().rindex("ENTRYPOINT")


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bHELIOGRAPH_[A-Z_]+__[A-Z_]+\b", text))


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_settings_that_are_named_exist(file):
    values = {
        "HELIOGRAPH_HEALTH__ENABLED": "true",
        "HELIOGRAPH_HTTP_API__KEYS": '["key"]',
        "HELIOGRAPH_BROKER__URL": "redis://valkey:6379",
        "HELIOGRAPH_STORE__URL": "postgresql://heliograph:heliograph@postgres/heliograph",
        "HELIOGRAPH_LOG__FORMAT": "json",
    }
    named = variables((DOCKER / file).read_text())
    assert named
    load_settings(None, environ={name: values.get(name, "word") for name in named})


def test_commands_of_the_services_exist():
    services = compose()["services"]
    commands = {name: service["command"] for name, service in services.items() if service.get("image") == "heliograph"}
    assert set(commands.values()) == {"gateway", "pusher"}
    for command in set(commands.values()):
        assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0


def test_the_fleet_shares_its_broker_and_store_and_has_no_secret_of_its_own():
    services = [service["environment"] for service in compose()["services"].values() if service.get("image") == "heliograph"]
    assert len({service["HELIOGRAPH_BROKER__URL"] for service in services}) == 1
    assert len({service["HELIOGRAPH_STORE__URL"] for service in services}) == 1
    assert all(service["HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY"].startswith("${HELIOGRAPH_SECRET:?") for service in services)


def test_the_balancer_knows_the_gateways():
    balanced = set(re.findall(r"^\s+server (\S+)", (DOCKER / "haproxy.cfg").read_text(), re.MULTILINE))
    assert balanced == {name for name, service in compose()["services"].items() if service.get("command") == "gateway"}


def test_the_balancer_is_understood_by_haproxy(tmp_path):
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert haproxy, "haproxy is missing: install it (apt-get install haproxy)"
    # The names of the servers exist in the compose network only.
    text = re.sub(r"(server \S+) \S+?:", r"\1 127.0.0.1:", (DOCKER / "haproxy.cfg").read_text())
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    checked = subprocess.run([haproxy, "-c", "-f", str(config)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_unit_gives_a_drain_its_time_and_does_not_retry_wrong_settings():
    unit = (ROOT / "deploy" / "systemd" / "heliograph.service").read_text()
    options = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    settings = load_settings(None, environ={})
    assert float(options["TimeoutStopSec"]) > settings.node.shutdown_timeout
    assert options["RestartPreventExitStatus"] == "2"
    assert options["User"] == "heliograph"
    command = options["ExecStart"].split()
    assert CliRunner().invoke(cli, [command[1], "--help"]).exit_code == 0
