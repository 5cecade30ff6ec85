import re
import socket
import subprocess
import sys

import pytest

MINIMAL = """
[client.token]
hmac_secret_key = "a secret that is longer than thirty-two bytes"
[http_api]
keys = ["k"]
[channel.without_namespace]
presence = true
"""


def test_refuses_to_start_without_a_secret(run) -> None:
    ended = run("serve")

    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert "client.token.hmac_secret_key" in ended.err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[client\n", "heliograph: h.toml: line 1, column 8: "),
        ('[client]\nping_interval = "fast"\n', "heliograph: client.ping_interval: must be a duration"),
        ('[broker]\nurl = "kafka://h"\n[client]\ninsecure = true\n', "heliograph: broker.url: must begin with memory://"),
    ],
)
def test_refuses_bad_settings_in_one_line(run, directory, text, line) -> None:
    (directory / "h.toml").write_text(text)
    ended = run("serve", "--config", "h.toml")

    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)


def test_refuses_a_file_that_it_cannot_read(run) -> None:
    ended = run("serve", "--config", "missing.toml")

    assert (ended.code, ended.problems) == (2, ["heliograph: missing.toml: cannot be read: No such file or directory"])


@pytest.mark.parametrize("args", [["--host", "0.0.0.0"], ["--host", "example.org", "--port", "9000"]])
def test_keeps_development_on_loopback(run, args) -> None:
    ended = run("serve", "--dev", *args)

    assert (ended.code, len(ended.problems)) == (2, 1)
    assert ended.err.startswith("heliograph: http.host: development mode listens on loopback only")


def test_lets_dev_pass_over_a_file_of_the_environment(run, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CONFIG", "missing.toml")

    assert run("config", "check", "--dev").code == 0
    assert run("config", "check").code == 2


@pytest.mark.parametrize("source", ["--config", "--dev"])
def test_says_that_the_port_is_taken(directory, source) -> None:
    (directory / "h.toml").write_text(MINIMAL)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        chosen = [source, "h.toml"] if source == "--config" else [source]
        command = [sys.executable, "-m", "heliograph", "serve", *chosen, "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(rf"heliograph: http\.port: .*{port}.*\n", ended.stderr)


def test_needs_only_tokens_keys_and_channels(run, directory) -> None:
    (directory / "h.toml").write_text(MINIMAL)
    ended = run("config", "check", "--config", "h.toml")

    assert (ended.code, ended.err) == (0, "")
