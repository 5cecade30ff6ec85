"""What the page for operators says of each cache is what its terms are."""

import re
from pathlib import Path

import pytest

from broker.caching.cache import Terms
from broker.caching.devices import DEVICES
from broker.caching.preferences import PREFERENCES
from broker.caching.templates import TEMPLATES, TEXTS

PAGE = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.M)}


@pytest.mark.parametrize("terms", [PREFERENCES, DEVICES, TEMPLATES, TEXTS], ids=lambda terms: terms.name)
def test_the_table_tells_the_terms(terms: Terms) -> None:
    what, counts_for, stands_in = ROWS[terms.name]
    assert f"{terms.limit:,} " in what
    assert counts_for.startswith(f"{terms.fresh_s:g} s")
    assert stands_in == (f"{terms.stale_s:g} s" if terms.stale_s else "no")
