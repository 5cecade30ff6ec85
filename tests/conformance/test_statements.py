"""Every statement of PROTOCOL.md §11 has a test that bears its number, or stands here with what keeps it."""

import ast
import re
from pathlib import Path

STATEMENTS = frozenset(range(1, 77))

NOT_YET: dict[int, str] = {}


def numbered():
    """Give (statement, name, docstring) of every test here that bears a number."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (match := re.match(r"test_p(\d\d)_", node.name)):
                yield int(match[1]), node.name, ast.get_docstring(node) or ""


def test_every_statement_has_its_place():
    tested = {statement for statement, _, _ in numbered()}
    assert tested | NOT_YET.keys() == STATEMENTS
    assert not tested & NOT_YET.keys()


def test_names_and_docstrings_agree():
    wrong = [name for statement, name, docstring in numbered() if not re.match(rf"P-{statement}\b", docstring)]
    assert wrong == []
