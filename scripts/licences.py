"""Writes the table of licences in docs/security.md: `.venv/bin/python scripts/licences.py`. A test holds the page to this.

Licences are read from the metadata of what is installed: of everything that a server with all extras brings along at run time.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
PAGE = Path(__file__).parents[1] / "docs/security.md"
BEGIN, END = "<!-- licences: begin -->\n", "<!-- licences: end -->\n"
EXTRAS = ("embedded", "tracing")
# What the metadata of some says in other words, or only by a classifier.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_LONGEST_CHARS = 60


def closure() -> dict[str, Distribution]:
    """Find all that is installed because the project asks for it, by its normalised name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = _asked_for()
    while waiting:
        needed = waiting.pop()
        key = re.sub(r"[-_.]+", "-", needed.name).lower()
        if (key, frozenset(needed.extras)) in seen:
            continue
        seen.add((key, frozenset(needed.extras)))
        try:
            found[key] = distribution(key)
        except PackageNotFoundError:
            continue  # of another platform
        waiting += _needs(found[key].requires or [], needed.extras)
    return found


def licence_of(package: Distribution) -> str:
    """Tell the licence by its SPDX expression where there is one."""
    metadata = package.metadata
    for name in ("License-Expression", "License"):
        said = metadata[name].strip() if name in metadata else ""
        if said and "\n" not in said and len(said) <= _LONGEST_CHARS:
            return _SPDX.get(said, said)
    classified = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    return " and ".join(_SPDX.get(one, one) for one in classified) or "not said"


def table() -> str:
    """Write the table."""
    lines = ["| package | licence |", "|---|---|"]
    lines += [f"| {name} | {licence_of(package)} |" for name, package in sorted(closure().items())]
    return "\n".join(lines) + "\n"


def render(page: str) -> str:
    """Put the table into the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _asked_for() -> list[Requirement]:
    """List what the project itself asks for; what is installed of it may have been built before that changed."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    return list(_needs(lines, set()))


def _needs(lines: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for line in lines:
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
