"""The page's modules without a page: their own tests, run under node."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")


@pytest.mark.parametrize("module", ["client", "journey"])
def test_module(module: str) -> None:
    assert NODE is not None, "node is missing: install the extra `test`"
    done = subprocess.run([NODE, "--test", str(HERE / f"{module}.test.mjs")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
