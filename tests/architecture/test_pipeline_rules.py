"""Every rule of the pipeline is named by tests, and `docs/reference/pipeline-rules.md` tells which."""

import ast
import re
from pathlib import Path

import pytest

RULES = [f"N-{number}" for number in range(1, 35)]
ROW = re.compile(r"\| (?P<rule>N-\d+) \| (?P<says>[^|]+) \| (?P<shown>[^|]+) \|")
NOT_HERE = "Not here: "


def rows_of(page: str) -> list[tuple[str, str]]:
    """The rules of a page, each with what shows it."""
    return [(found["rule"], found["shown"]) for line in page.splitlines() if (found := ROW.fullmatch(line))]


def named_in(text: str) -> dict[str, set[str]]:
    """The rules that a file of tests names, by test: in its own lines, or in the docstring of its class or of the file.

    Under `*` all that the file names.
    """
    tree, lines = ast.parse(text), text.splitlines()
    found = {"*": mentions(text)}

    def look(body: list[ast.stmt], inherited: set[str]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                look(node.body, inherited | mentions(ast.get_docstring(node) or ""))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] = inherited | mentions("\n".join(lines[node.lineno - 1 : node.end_lineno]))

    look(tree.body, mentions(ast.get_docstring(tree) or ""))
    return found


def mentions(text: str) -> set[str]:
    return set(re.findall(r"\bN-\d+\b", text))


def complaints_of(rows: list[tuple[str, str]], root: Path) -> list[str]:
    """Tests that are not there, or do not name the rule that they are said to show."""
    complaints = []
    for rule, shown in rows:
        tests = re.findall(r"`([^`]+)`", shown)
        if not tests and not shown.startswith(NOT_HERE):
            complaints.append(f"{rule}: is shown by nothing, and no sentence beginning {NOT_HERE!r} says why")
        for test in tests:
            path, _, name = test.partition("::")
            file = root / "tests" / path
            named = named_in(file.read_text(encoding="utf-8")) if file.is_file() else {}
            if rule not in named.get(name, ()):
                complaints.append(f"{rule}: {test} {'does not name it' if name in named else 'is not there'}")
    return complaints


def test_each_rule_stands_once_in_its_place(root):
    page = (root / "docs/reference/pipeline-rules.md").read_text(encoding="utf-8")
    assert [rule for rule, _ in rows_of(page)] == RULES


def test_each_rule_is_shown_by_tests_that_name_it(root):
    page = (root / "docs/reference/pipeline-rules.md").read_text(encoding="utf-8")
    assert complaints_of(rows_of(page), root) == []


def test_no_test_names_a_rule_that_does_not_exist_or_is_said_to_be_missing(root):
    page = (root / "docs/reference/pipeline-rules.md").read_text(encoding="utf-8")
    missing = {rule for rule, shown in rows_of(page) if shown.startswith(NOT_HERE)}
    known = set(RULES) - missing
    here = Path(__file__).name
    files = [file for file in (root / "tests").rglob("test_*.py") if "node_modules" not in file.parts and file.name != here]
    wrong = {file.name: sorted(unknown) for file in files if (unknown := mentions(file.read_text(encoding="utf-8")) - known)}
    assert wrong == {}, "amend docs/reference/pipeline-rules.md"


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        ("`a/test_x.py::test_named`", None),
        ("`a/test_x.py::test_in_class`", None),
        ("`a/test_x.py::*`", None),
        ("Not here: nobody needs it.", None),
        ("somebody said so", "N-3: is shown by nothing"),
        ("`a/test_x.py::test_other`", "N-3: a/test_x.py::test_other does not name it"),
        ("`a/test_x.py::test_gone`", "N-3: a/test_x.py::test_gone is not there"),
        ("`a/test_gone.py::*`", "N-3: a/test_gone.py::* is not there"),
        ("`a/test_x.py::test_named`<br>`a/test_y.py::test_a`", "N-3: a/test_y.py::test_a does not name it"),
    ],
)
def test_what_is_wrong_with_a_row_is_seen(tmp_path, shown, complaint):
    folder = tmp_path / "tests" / "a"
    folder.mkdir(parents=True)
    (folder / "test_x.py").write_text(
        '"""Of N-1."""\ndef test_named():  # N-3\n    pass\ndef test_other():\n    """N-33."""\n'
        'class TestIt:\n    """N-3."""\n    async def test_in_class(self):\n        pass\n'
    )
    (folder / "test_y.py").write_text("def test_a():\n    pass\n")
    complaints = complaints_of(rows_of(f"| N-3 | something | {shown} |"), tmp_path)
    assert [one[: len(complaint or "")] for one in complaints] == ([complaint] if complaint else [])
