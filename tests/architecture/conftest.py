"""The product's own source, parsed once: what each module imports and names, and how it is built."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("config", "broker", "gateway", "pushers", "loadtest", "heliograph")


@dataclass(frozen=True)
class Source:
    """One module: its path below the root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """The dotted name that others import it by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """Its package at the top level."""
        return self.path.partition("/")[0]

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """Every imported name in full with its line, at the top of the file or further in: `a.b` of `from a import b`."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                found += [(f"{origin}.{alias.name}", node.lineno) for alias in node.names]
        return found

    @cached_property
    def names(self) -> list[tuple[str, int]]:
        """The imports, and every attribute reached through one: `os.environ` of `import os as system; system.environ`."""
        return self.imports + list(self._reached())

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.module.split(".")
        if self.path.endswith("/__init__.py"):
            parents.append("__init__")
        return ".".join([*parents[: -node.level], *([node.module] if node.module else [])])

    def _reached(self) -> Iterator[tuple[str, int]]:
        meanings = self._meanings()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and (chain := _chain(node)):
                first, *rest = chain
                if first in meanings:
                    yield ".".join([meanings[first], *rest]), node.lineno

    def _meanings(self) -> dict[str, str]:
        """What a bare name stands for, as far as an import says it."""
        meanings = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    meanings[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    meanings[alias.asname or alias.name] = f"{self._origin(node)}.{alias.name}"
        return meanings


def _chain(node: ast.expr) -> list[str]:
    """The names of `a.b.c`, empty where it does not begin with a bare name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return [*before, node.attr]
    return []


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def packages() -> tuple[str, ...]:
    return PACKAGES


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    """Every module of the product."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="session")
def make_source() -> Callable[[str, str], Source]:
    """Make a module that is not there, to see a rule fail."""
    return Source
