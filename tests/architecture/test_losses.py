"""Every row of the table of losses in `docs/operations.md` is shown by tests, and each of these names its row."""

import ast
import re
from pathlib import Path

import pytest

ROW = re.compile(r"\| (?P<row>L-\d+) \|(?P<cells>.+)\| (?P<shown>[^|]+) \|")
NAMED = re.compile(r"\bL-\d+\b")


def rows_of(page: str) -> list[tuple[str, list[str]]]:
    """The rows of a page, each with the tests that show it."""
    found = [ROW.fullmatch(line) for line in page.splitlines()]
    return [(row["row"], re.findall("`([^`]+)`", row["shown"])) for row in found if row]


def named_in(text: str) -> dict[str, set[str]]:
    """The rows that each test of a file names in its own lines, those of classes included."""
    lines = text.splitlines()
    return {
        node.name: set(NAMED.findall("\n".join(lines[node.lineno - 1 : node.end_lineno])))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def complaints_of(rows: list[tuple[str, list[str]]], root: Path) -> list[str]:
    """Rows that nothing shows, and tests that are not there or do not name their row."""
    complaints = [f"{row}: is shown by nothing" for row, tests in rows if not tests]
    for row, tests in rows:
        for test in tests:
            path, _, name = test.partition("::")
            file = root / "tests" / path
            named = named_in(file.read_text(encoding="utf-8")) if file.is_file() else {}
            if row not in named.get(name, ()):
                complaints.append(f"{row}: {test} {'does not name it' if name in named else 'is not there'}")
    return complaints


@pytest.fixture(scope="module")
def rows(root):
    return rows_of((root / "docs/operations.md").read_text(encoding="utf-8"))


def test_rows_are_numbered_in_order(rows):
    assert [row for row, _ in rows] == [f"L-{number}" for number in range(1, len(rows) + 1)]
    assert len(rows) >= 15


def test_each_row_is_shown_by_tests_that_name_it(rows, root):
    assert complaints_of(rows, root) == []


def test_every_test_that_names_a_row_stands_behind_it(rows, root):
    shown = {(row, test) for row, tests in rows for test in tests}
    files = [file for file in (root / "tests").rglob("test_*.py") if "node_modules" not in file.parts]
    named = {
        (row, f"{file.relative_to(root / 'tests').as_posix()}::{name}")
        for file in files
        if file != Path(__file__) and NAMED.search(text := file.read_text(encoding="utf-8"))
        for name, found in named_in(text).items()
        for row in found
    }
    assert named == shown


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        ("`a/test_x.py::test_named`", None),
        ("`a/test_x.py::test_in_class`", None),
        ("somebody said so", "L-3: is shown by nothing"),
        ("`a/test_x.py::test_other`", "L-3: a/test_x.py::test_other does not name it"),
        ("`a/test_x.py::test_gone`", "L-3: a/test_x.py::test_gone is not there"),
        ("`a/test_gone.py::test_named`", "L-3: a/test_gone.py::test_named is not there"),
    ],
)
def test_what_is_wrong_with_a_row_is_seen(tmp_path, shown, complaint):
    folder = tmp_path / "tests" / "a"
    folder.mkdir(parents=True)
    (folder / "test_x.py").write_text(
        "def test_named():  # L-3\n    pass\ndef test_other():\n    '''L-33.'''\n"
        "class TestIt:\n    async def test_in_class(self):\n        '''L-3.'''\n"
    )
    complaints = complaints_of(rows_of(f"| L-3 | something | goes on | {shown} |"), tmp_path)
    assert complaints == ([complaint] if complaint else [])
