"""How modules are named, described and sized. Each rule is seen to complain, then held to the product."""

import ast
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import pytest

BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "types"})
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60


def name_complaints(sources: Iterable[Any]) -> list[str]:
    """A module or package whose name says nothing of what it is for."""
    complaints = []
    for source in sources:
        parts = PurePosixPath(source.path.removesuffix(".py")).parts
        complaints += [f"{source.path}: {part} names no subject" for part in parts if part in BANNED_NAMES]
    return complaints


def docstring_complaints(sources: Iterable[Any]) -> list[str]:
    """A public module that does not say what it is for."""
    return [
        source.path
        for source in sources
        if not (name := PurePosixPath(source.path).name).startswith("_") or name == "__init__.py"
        if not ast.get_docstring(source.tree)
    ]


def file_complaints(sources: Iterable[Any]) -> list[str]:
    counted = [(source.path, len(source.text.splitlines())) for source in sources]
    return [f"{path} has {lines} lines" for path, lines in counted if lines > MAX_FILE_LINES]


def function_complaints(sources: Iterable[Any]) -> list[str]:
    return [
        f"{source.path}:{node.lineno} {node.name} has {lines} lines"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := length(node)) > MAX_FUNCTION_LINES
    ]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines from its `def` on, without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def test_names_say_what_a_module_is_for(sources):
    assert name_complaints(sources) == []


@pytest.mark.parametrize("path", ["gateway/utils.py", "gateway/types.py", "broker/common/keys.py", "pushers/base/__init__.py"])
def test_an_empty_name_is_seen(make_source, path):
    assert name_complaints([make_source(path, "")]) != []


def test_a_name_that_only_contains_a_banned_one_passes(make_source):
    assert name_complaints([make_source("gateway/database.py", ""), make_source("gateway/mime_types.py", "")]) == []


def test_every_public_module_says_what_it_is_for(sources):
    assert docstring_complaints(sources) == []


@pytest.mark.parametrize("path", ["gateway/hub.py", "gateway/__init__.py"])
@pytest.mark.parametrize("text", ["", "x = 1", "# not a docstring\nimport json", '""" """'])
def test_a_module_without_docstring_is_seen(make_source, path, text):
    assert docstring_complaints([make_source(path, text)]) == [path]


def test_a_private_module_may_go_without(make_source):
    assert docstring_complaints([make_source("gateway/_hub.py", "")]) == []


def test_no_file_is_too_long(sources):
    assert file_complaints(sources) == []


def test_a_long_file_is_seen(make_source):
    assert file_complaints([make_source("gateway/hub.py", "x = 1\n" * 600)]) == []
    assert file_complaints([make_source("gateway/hub.py", "x = 1\n" * 601)]) == ["gateway/hub.py has 601 lines"]


def test_no_function_is_too_long(sources):
    assert function_complaints(sources) == []


@pytest.mark.parametrize(
    "head", ["def f():\n", "async def f():\n", "class A:\n  def f(self):\n", "def g():\n  return 0\ndef f():\n"]
)
def test_a_long_function_is_seen(make_source, head):
    docstring = '    """Say.\n\n    More.\n    """\n'
    fits = head + docstring + "    x = 1\n" * 59
    assert function_complaints([make_source("gateway/hub.py", fits)]) == []
    [complaint] = function_complaints([make_source("gateway/hub.py", fits + "    x = 1\n")])
    assert "f has 61 lines" in complaint
