"""The command, run in this process, in a directory and an environment of its own."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from heliograph.cli import main


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        return self.err.splitlines()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh working directory, with no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `heliograph` with arguments."""

    def call(*args: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(args))
        captured = capsys.readouterr()
        return Ended(int(end.value.code or 0), captured.out, captured.err)

    return call
