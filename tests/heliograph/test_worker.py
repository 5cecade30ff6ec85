"""A worker by itself: what it does when the supervisor that started it is gone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from heliograph.orders import Assignment

GUARD_S = 60  # only ends a hang

SETTINGS = """
[client.token]
hmac_secret_key = "a secret that is longer than thirty-two bytes"
[http_api]
keys = ["k"]
[store]
url = "sqlite:///{directory}/store.db"
"""


@pytest.mark.parametrize(("text", "code"), [(SETTINGS, 0), ("nonsense = 1", 2)])
def test_a_supervisor_that_has_died_meanwhile_is_no_fault(tmp_path: Path, text: str, code: int) -> None:
    file = tmp_path / "h.toml"
    file.write_text(text.format(directory=tmp_path))
    reports, nowhere = os.pipe()
    os.close(reports)
    with socket.create_server(("127.0.0.1", 0)) as clients:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "heliograph.worker"],
            input=msgspec.json.encode(Assignment("gateway", 1, clients.fileno(), file=str(file))) + b"\n",
            stdout=nowhere,
            stderr=subprocess.PIPE,
            pass_fds=[clients.fileno()],
            timeout=GUARD_S,
            check=False,
        )
    os.close(nowhere)
    assert ended.returncode == code
    assert b"Traceback" not in ended.stderr
