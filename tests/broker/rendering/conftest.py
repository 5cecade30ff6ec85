"""Templates that are compiled and rendered with a clock that stands still."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.rendering.compiled import Rendered, compile_text
from broker.templates import TemplateText
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def render(clock: ManualClock) -> Callable[..., Rendered]:
    """Render fields with variables: `render({"body": "{{ x }}"}, x=1)`."""

    def rendered(fields: dict[str, str], **variables: Any) -> Rendered:
        return compile_text(TemplateText(**fields)).render(variables, clock)

    return rendered


@pytest.fixture
def body(render: Callable[..., Rendered]) -> Callable[..., str]:
    """Render one text."""
    return lambda source, **variables: render({"body": source}, **variables).body
