import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest

from heliograph.cli import cli
from heliograph.groups import LateCommand, LateGroup, RichCommand

COMMANDS = ["serve", "init", "config", "db", "token", "loadtest", "simulate"]


def test_helps_with_every_command(run) -> None:
    ended = run("--help")

    assert ended.code == 0
    assert all(f"  {name} " in ended.out for name in COMMANDS)
    assert "\x1b" not in ended.out


def test_tells_its_version(run) -> None:
    assert run("--version").out == f"heliograph {version('heliograph')}\n"


@pytest.mark.parametrize("args", [["serve"], ["init"], ["config"], ["config", "show"], ["token"], ["token", "create"]])
def test_helps_with_each_command(run, args) -> None:
    ended = run(*args, "--help")

    assert ended.code == 0
    assert ended.out.startswith(f"Usage: heliograph {' '.join(args)} ")
    assert "--help" in ended.out


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


def test_help_can_be_read_on_a_narrow_terminal(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for path, command in _commands(cli):
        if not isinstance(command, RichCommand):
            continue
        told = run(*path, "--help").out
        assert max(map(len, told.splitlines())) <= 80, path
        records = [param.get_help_record(click.Context(command)) for param in command.params]
        for name, about in filter(None, records):
            assert len(name) <= 32, (path, name)  # a longer one leaves no room to say what it does
            assert not about or all(word in told for word in about.split()), (path, name)


@pytest.mark.parametrize("args", [[], ["config"], ["token"]])
def test_helps_where_a_command_is_missing(run, args) -> None:
    ended = run(*args)

    assert (ended.code, ended.out) == (2, "")
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["fly"], "heliograph: No such command 'fly'."),
        (["statistic"], "heliograph: No such command 'statistic'. Did you mean statistics?"),
        (["key", "rotat", "x"], "heliograph key: No such command 'rotat'. Did you mean rotate?"),
        (["serve", "--prot", "1"], "heliograph serve: No such option '--prot'"),
        (["serve", "--port", "many"], "heliograph serve: Invalid value for '--port'"),
        (["serve", "--port", "70000"], "heliograph serve: Invalid value for '--port'"),
        (["serve", "--dev", "--config", "x.toml"], "heliograph serve: --config and --dev exclude each other"),
        (["token", "create"], "heliograph token create: Missing option '--user'."),
        (["init", "a", "b"], "heliograph init: Got unexpected extra argument"),
    ],
)
def test_answers_errors_of_use_in_one_line(run, args, line) -> None:
    ended = run(*args)

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.problems) == 1
    assert ended.problems[0].startswith(line)


@pytest.mark.parametrize("module", ["aiosmtpd", "h2.connection", "psutil"])
def test_says_which_extra_a_command_needs(directory, monkeypatch, module) -> None:
    name = f"without_{module.replace('.', '_')}"
    (directory / f"{name}.py").write_text(f"raise ModuleNotFoundError('missing', name={module!r})")
    monkeypatch.syspath_prepend(directory)
    group = LateGroup("heliograph", late={"simulate": LateCommand(f"{name}:simulate", "")})

    with pytest.raises(click.UsageError, match=r"simulate needs .* pip install 'heliograph\[simulators\]'"):
        group.get_command(click.Context(group), "simulate")


def test_hides_no_mistake_of_ours() -> None:
    group = LateGroup("heliograph", late={"lost": LateCommand("no_such_module_of_ours:lost", "")})

    with pytest.raises(ModuleNotFoundError):
        group.get_command(click.Context(group), "lost")


def test_imports_no_command_before_it_is_called() -> None:
    code = (
        "import sys, heliograph.cli; print([n for n in ('jwt', 'starlette', 'cryptography', 'sqlalchemy') if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


def test_runs_as_a_module() -> None:
    answer = subprocess.run([sys.executable, "-m", "heliograph", "--version"], capture_output=True, text=True, check=True)

    assert answer.stdout == f"heliograph {version('heliograph')}\n"


def test_stays_quiet_when_its_reader_leaves() -> None:
    command = f"{sys.executable} -m heliograph config schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "{", "")
