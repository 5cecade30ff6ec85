"""The parts around the Autobahn suite: the echo server that it is pointed at, and the summary of what it finds."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "scripts"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_the_server_echoes_text_as_text_and_bytes_as_bytes(compression):
    script = str(SCRIPTS / "autobahn_echo.py")
    server = await asyncio.create_subprocess_exec(sys.executable, script, stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT)
    assert server.stdout is not None
    try:
        port = int(await server.stdout.readline())
        uri = f"ws://127.0.0.1:{port}/connection/websocket"
        async with websockets.connect(uri, compression=compression, max_size=None) as peer:
            assert ("Sec-WebSocket-Extensions" in peer.response.headers) == bool(compression)
            for message in ("text", b"bytes", "", b"\xff", "κόσμε" * 1000, b"x" * 9_000_000):
                await peer.send(message)
                assert await peer.recv() == message
            await peer.send(["a text", " in", " fragments"])
            assert await peer.recv() == "a text in fragments"
    finally:
        server.terminate()
        await server.wait()


def summary(tmp_path, **cases):
    index = {number.replace("_", ".").strip("c"): dict(zip(KEYS, found, strict=True)) for number, found in cases.items()}
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"heliograph": index}))
    command = [sys.executable, str(SCRIPTS / "autobahn_report.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


KEYS = ("behavior", "behaviorClose", "remoteCloseCode")


def test_the_summary_counts_by_group(tmp_path):
    report = summary(
        tmp_path,
        c10_1=("OK", "OK", 1000),
        c1_1=("OK", "OK", 1000),
        c1_2=("NON-STRICT", "OK", 1000),
        c1_3=("INFORMATIONAL", "INFORMATIONAL", None),
    )
    assert report.returncode == 0
    assert "| 1.* framing | 3 | 1 | 1 | 1 | 0 |\n| 10.* fragments of the sender's choice | 1 | 1 | 0 | 0 | 0 |" in report.stdout
    assert "| **all** | 4 | 2 | 1 | 1 | 0 |" in report.stdout
    assert "Failed: none." in report.stdout


@pytest.mark.parametrize("found", [("FAILED", "OK"), ("OK", "WRONG CODE"), ("OK", "UNCLEAN"), ("UNIMPLEMENTED", "OK")])
def test_a_case_fails_by_what_it_saw_or_by_how_it_ended(tmp_path, found):
    report = summary(tmp_path, c1_1=("OK", "OK", 1000), c7_1_5=(*found, 1002))
    assert report.returncode == 1
    assert "| **all** | 2 | 1 | 0 | 0 | 1 |" in report.stdout
    assert f"- 7.1.5: {found[0]}, closing {found[1]} (1002)" in report.stdout


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"AUTOBAHN_PYTHON": sys.executable}, "which is no Python 2.7 that runs"),
        ({"PYENV_ROOT": "/nowhere"}, "no Python 2.7: looked at $AUTOBAHN_PYTHON"),
    ],
)
def test_without_python_27_the_script_says_what_is_missing(tmp_path, environment, says):
    for tool in ("bash", "dirname"):  # and no Python
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    environment = {"PATH": str(tmp_path), "AUTOBAHN_CACHE": str(tmp_path), **environment}
    run = subprocess.run([SCRIPTS / "autobahn", "1.*"], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 2
    assert says in run.stderr
