"""The guide's calls, made in their order: each is answered as it says."""

import json
import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "templates.md"
CALL = re.compile(r"```\nPOST /api/(\w+)\n(.*?)\n→ (.*?)\n```", re.DOTALL)


def agrees(said: Any, answered: Any) -> bool:
    """Whether an answer is as the guide says; `…` stands for anything."""
    if said in ("…", ["…"]):
        return True
    if isinstance(said, dict) and isinstance(answered, dict):
        return said.keys() == answered.keys() and all(agrees(said[key], answered[key]) for key in said)
    if isinstance(said, list) and isinstance(answered, list):
        return len(said) == len(answered) and all(map(agrees, said, answered))
    return bool(said == answered)


async def test_every_call_is_answered_as_the_guide_says(desk: Any) -> None:
    calls = CALL.findall(GUIDE.read_text(encoding="utf-8"))
    assert len(calls) == 9
    for method, request, answer in calls:
        response = await desk.api.post(method, json.loads(request))
        said = json.loads(answer.replace("[…]", '["…"]'))
        assert agrees(said, response.json()), (method, response.json())


def test_the_guide_lists_the_filters_that_there_are() -> None:
    from broker.rendering.filters import FILTERS

    (row,) = re.findall(r"^\| filters \| (.*) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == FILTERS.keys() - {"d", "e"}
