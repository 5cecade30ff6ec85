"""A step's id names its notification and its device."""

import pytest

from broker.store.keys import PLAN, StepKey


@pytest.mark.parametrize(("key", "text"), [(StepKey("n1", PLAN), "n1"), (StepKey("n1", "d1"), "n1/d1")])
def test_an_id_is_read_as_it_was_written(key: StepKey, text: str) -> None:
    assert str(key) == text
    assert StepKey.parse(text) == key
    assert key.is_plan == (text == "n1")
