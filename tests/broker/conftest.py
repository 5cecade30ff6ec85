"""What the broker's own parts are given: time that stands still until a test moves it."""

import pytest

from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
