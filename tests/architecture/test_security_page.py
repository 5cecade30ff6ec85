"""`docs/security.md`: the tests that it names are there, every attack has one, and the table of licences is the script's."""

import importlib.util
import re
from pathlib import Path

import pycurl
import pytest


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs/security.md").read_text(encoding="utf-8")


def test_every_attack_is_met_by_tests_that_exist(root: Path, page: str) -> None:
    rows = dict(re.findall(r"^\| (R\d+) \|.*\| ([^|]+) \|$", page, re.M))
    assert list(rows) == [f"R{number}" for number in range(17, 25)]
    named = [name for name in re.findall(r"`([a-z0-9_/]+\.py)`", page) if "/test_" in name]
    assert len(named) > 15
    assert [name for name in named if not (root / "tests" / name).is_file()] == []
    for rule, shown in rows.items():
        assert re.search(r"`[a-z0-9_/]+\.py`", shown), rule


def test_pinned_versions_have_what_the_page_calls_fixed(root: Path, page: str) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (root / "constraints.txt").read_text(encoding="utf-8").lower(), re.M))
    pins["libcurl"] = pycurl.version_info()[1]  # the one that pycurl brings along
    part = page.partition("\n## Known vulnerabilities\n")[2].partition("\n## ")[0]
    fixed = re.findall(r"^\| ([\w-]+) \| [^|]+ \| (\d[\d.]*) \|", part, re.M)
    assert len(fixed) > 10
    assert [(name, version) for name, version in fixed if _parts(pins[name]) < _parts(version)] == []


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_licences_are_those_of_what_is_installed(root: Path, page: str) -> None:
    spec = importlib.util.spec_from_file_location("licences", root / "scripts/licences.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert page == script.render(page), "run: .venv/bin/python scripts/licences.py"
    licences = re.findall(r"^\| [a-z0-9-]+ \| (.+) \|$", script.table(), re.M)[1:]  # after the heading
    assert len(licences) > 40
    allowed = re.compile(r"(MIT|Apache|BSD|PSF|ISC|MPL)")
    assert [licence for licence in licences if not allowed.search(licence)] == []
