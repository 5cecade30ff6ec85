"""`simulate` in the foreground."""

import asyncio
import signal
import socket
import sys
import tomllib
from pathlib import Path

from click.testing import CliRunner

from config.settings import ProvidersSettings
from loadtest.simulators.command import simulate


async def test_ports_and_settings_are_shown_ready_to_paste(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", "from loadtest.simulators.command import simulate; simulate()"),
        *(f"--data={tmp_path}", f"--fcm-port={port}"),
        stdin=asyncio.subprocess.DEVNULL,  # the end of its input ends only the child of a server
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        text = (await process.stdout.readuntil(b"Running until Ctrl-C.\n")).decode()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    heading, _, rest = text.partition("Settings that point at them:\n")
    assert f"FCM        https://127.0.0.1:{port}\n" in heading
    settings = tomllib.loads(rest.replace("Running until Ctrl-C.", ""))
    assert ProvidersSettings.model_validate(settings["providers"]).fcm.url == f"https://127.0.0.1:{port}"


def test_a_taken_port_is_an_error_of_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(simulate, ["--data", str(tmp_path), "--smtp-port", str(taken.getsockname()[1])])
    assert result.exit_code == 2
    assert "in use" in result.output


def test_what_is_no_port_is_an_error_of_use() -> None:
    result = CliRunner().invoke(simulate, ["--apns-port", "70000"])
    assert result.exit_code == 2
    assert "--apns-port" in result.output


def test_help_names_every_port() -> None:
    text = CliRunner().invoke(simulate, ["--help"]).output
    for name in ("apns", "fcm", "webpush", "smtp", "submission", "smtps", "sms", "webhook", "control"):
        assert f"--{name}-port" in text
