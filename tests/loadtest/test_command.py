"""The command against a small server that is told to misbehave: exit codes, lines, and what the report says."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from loadtest.command import CREDENTIALS, Credentials, loadtest

Run = Callable[..., Result]


@pytest.fixture
def run(fake_server: Any, credentials: tuple[str, str], tmp_path: Path) -> Run:
    """Run a scenario against the fake server."""
    api_key, secret = credentials

    def invoke(*args: str, key: str = api_key) -> Result:
        url = f"http://127.0.0.1:{fake_server.port}"
        common = ["--url", url, "--api-key", key, "--secret", secret, "--output", str(tmp_path / "out")]
        return CliRunner().invoke(loadtest, [*args, *common])

    return invoke


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Read the result that a run wrote."""
    return lambda: json.loads((tmp_path / "out" / "result.json").read_text())


FANOUT = ("fanout", "--subscribers", "5", "--rate", "40", "--duration", "1", "--warmup", "0", "--sample", "5")


def failures(result: dict[str, Any]) -> dict[str, int]:
    return {failure["name"]: failure["count"] for failure in result["failures"]}


def figure(result: dict[str, Any], name: str) -> float:
    return next(float(figure["value"]) for figure in result["figures"] if figure["name"] == name)


def test_a_clean_fan_out(run: Run, written: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    ended = run(*FANOUT, "--processes", "2")
    result = written()
    assert (ended.exit_code, failures(result)) == (0, {}), ended.output
    assert result["is_complete"]
    assert sum(second["counts"].get("deliveries", 0) for second in result["seconds"]) == 5 * 40
    assert result["latencies"][0]["count"] > 0
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()


def test_subscribers_may_be_on_other_nodes(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    node = f"http://127.0.0.1:{fake_server.port}"
    ended = run(*FANOUT, "--subscribe-url", node, "--subscribe-url", f"{node}/")
    assert ended.exit_code == 0, ended.output
    assert len(fake_server.subscribers) == 5
    assert written()["settings"]["subscribe_urls"] == f"{node} {node}"
    assert written()["settings"]["processes"] == 2


def test_secrets_are_not_in_the_report(run: Run, credentials: tuple[str, str], tmp_path: Path) -> None:
    ended = run(*FANOUT)
    told = ended.output + "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert all(secret not in told for secret in credentials)


def test_publications_in_batches(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    assert run(*FANOUT, "--batch", "8").exit_code == 0
    assert fake_server.published == 5
    assert sum(second["counts"].get("deliveries", 0) for second in written()["seconds"]) == 5 * 40


def test_it_only_publishes_where_others_subscribe(run: Run, fake_server: Any) -> None:
    assert run(*FANOUT, "--subscribers", "0").exit_code == 0
    assert fake_server.published == 40


@pytest.mark.parametrize(
    ("name", "count", "fault"),
    [
        ("lost", 1, lambda number, frames, nth: [] if (number, nth) == (2, 7) else frames),
        ("duplicated", 1, lambda number, frames, nth: frames * 2 if (number, nth) == (2, 7) else frames),
    ],
    ids=["lost", "duplicated"],
)
def test_seeded_faults_are_found(
    run: Run, written: Callable[[], dict[str, Any]], fake_server: Any, name: str, count: int, fault: Callable[..., list[str]]
) -> None:
    sent: dict[int, int] = {}

    def spoil(number: int, frames: list[str]) -> list[str]:
        sent[number] = sent.get(number, 0) + 1
        return fault(number, frames, sent[number])

    fake_server.fault = spoil
    ended = run(*FANOUT)
    assert ended.exit_code == 1
    assert failures(written()) == {name: count}


def test_a_seeded_reordering_is_found(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    held: list[str] = []
    sent = 0

    def swap(number: int, frames: list[str]) -> list[str]:
        nonlocal sent
        if number:
            return frames
        sent += 1
        if sent == 5:
            held.extend(frames)
            return []
        return [*frames, held.pop()] if sent == 6 else frames

    fake_server.fault = swap
    assert run(*FANOUT, "--connections", "1").exit_code == 1
    assert failures(written()) == {"reordered": 1}


def test_refused_publications_are_told_and_not_missed(
    run: Run, written: Callable[[], dict[str, Any]], fake_server: Any
) -> None:
    fake_server.refuse_every = 10
    assert run(*FANOUT).exit_code == 1
    assert failures(written()) == {"publish: error 100 internal server error": 4}


def test_a_connection_storm(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    ended = run("connect", "--clients", "20", "--at-once", "7", "--hold", "0", "--processes", "2")
    result = written()
    assert (ended.exit_code, failures(result)) == (0, {}), ended.output
    assert figure(result, "subscribed") == 20
    assert [latency["count"] for latency in result["latencies"]] == [20, 20]


def test_notifications_to_the_outbox(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    ended = run("notify", "--notifications", "250", "--per-request", "100", "--users", "120")
    result = written()
    assert (ended.exit_code, failures(result)) == (0, {}), ended.output
    assert len(fake_server.devices) == 120
    assert result["latencies"][0]["count"] == len(fake_server.outbox) == 250


def test_notifications_without_an_outbox_are_followed_by_status(
    run: Run, written: Callable[[], dict[str, Any]], fake_server: Any
) -> None:
    fake_server.has_outbox = False
    ended = run("notify", "--notifications", "30", "--per-request", "10")
    result = written()
    assert (ended.exit_code, result["is_complete"]) == (0, True), ended.output
    assert result["latencies"][0]["count"] == 30
    assert any("no /dev/outbox" in warning for warning in result["warnings"])


def test_a_doubled_delivery_is_a_failure(run: Run, written: Callable[[], dict[str, Any]], fake_server: Any) -> None:
    class Doubling(list[dict[str, Any]]):
        def append(self, item: dict[str, Any]) -> None:
            super().append(item)
            if item["notification_id"] == "n3":
                super().append(item)

    fake_server.outbox = Doubling()
    assert run("notify", "--notifications", "10", "--per-request", "5").exit_code == 1
    assert failures(written()) == {"delivered twice": 1}


def test_a_wrong_key_is_one_line_and_exit_code_1(run: Run) -> None:
    ended = run(*FANOUT, key="wrong")
    assert ended.exit_code == 1
    assert ended.stderr.strip().endswith("refuses the API key")
    assert len(ended.stderr.strip().splitlines()) == 1


def test_no_client_may_subscribe(fake_server: Any, credentials: tuple[str, str], tmp_path: Path) -> None:
    args = [
        "connect",
        "--clients",
        "3",
        "--url",
        f"127.0.0.1:{fake_server.port}",
        "--secret",
        "a wrong secret, long enough for HS256",
    ]
    ended = CliRunner().invoke(loadtest, [*args, "--api-key", credentials[0], "--quiet", "--output", str(tmp_path / "out")])
    assert ended.exit_code == 1
    assert ended.stderr == "loadtest connect: no client could subscribe: connect: error 109 token expired\n"
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there(free_port: Callable[[], int], tmp_path: Path) -> None:
    port = free_port()
    args = ["connect", "--url", f"http://127.0.0.1:{port}", "--secret", "s", "--output", str(tmp_path / "out")]
    ended = CliRunner().invoke(loadtest, args)
    assert ended.exit_code == 1
    assert f"cannot reach http://127.0.0.1:{port}" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        (["fanout", "--subscribers", "-1"], "--subscribers"),
        (["fanout", "--size", "10"], "--size"),
        (["fanout", "--url", "ftp://x", "--api-key", "k"], "the scheme must be http"),
        (["fanout", "--subscribe-url", "http://x:y", "--api-key", "k"], "--subscribe-url"),
        (["connect", "--clients", "0"], "--clients"),
        (["notify", "--api-key", "k", "--notifications", "100", "--per-request", "50", "--users", "10"], "--users (10)"),
        (["notify", "--provider", "pigeon"], "--provider"),
        (["connect", "--cpu-client", "9999"], "there is no core 9999"),
        (["fanout"], "an API key is needed"),
        (["storm"], "No such command"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_errors_of_use_have_exit_code_2(args: list[str], rule: str) -> None:
    ended = CliRunner().invoke(loadtest, args)
    assert ended.exit_code == 2
    assert rule in ended.stderr


def test_credentials_of_the_composition_root_are_used(fake_server: Any, credentials: tuple[str, str], tmp_path: Path) -> None:
    @click.group()
    @click.pass_context
    def root(ctx: click.Context) -> None:
        ctx.meta[CREDENTIALS] = lambda: Credentials(*credentials)

    root.add_command(loadtest)
    url = f"http://127.0.0.1:{fake_server.port}"
    ended = CliRunner().invoke(root, ["loadtest", *FANOUT, "--url", url, "--quiet", "--output", str(tmp_path / "out")])
    assert ended.exit_code == 0, ended.output


def test_the_key_comes_from_the_environment(fake_server: Any, credentials: tuple[str, str], tmp_path: Path) -> None:
    env = {"HELIOGRAPH_API_KEY": credentials[0], "HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY": credentials[1]}
    args = [*FANOUT, "--url", f"127.0.0.1:{fake_server.port}", "--quiet", "--output", str(tmp_path / "out")]
    assert CliRunner(env=env).invoke(loadtest, args).exit_code == 0


def test_an_interrupted_run_still_writes_its_report(
    fake_server: Any, credentials: tuple[str, str], written: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    args = ["--subscribers", "3", "--rate", "20", "--duration", "600", "--url", f"http://127.0.0.1:{fake_server.port}"]
    args += ["--api-key", credentials[0], "--secret", credentials[1], "--output", str(tmp_path / "out")]
    command = [sys.executable, "-c", "from loadtest.command import loadtest; loadtest()", "fanout", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("measuring"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert (process.wait(30), "ended early" in rest) == (0, True), rest
    assert not written()["is_complete"]
    assert (tmp_path / "out" / "report.html").exists()
