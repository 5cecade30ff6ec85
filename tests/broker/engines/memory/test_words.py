"""The table behind Revocation: what it lists for others to learn from it."""

import math

import pytest

from broker.engines.memory.words import Words
from broker.errors import BadInput
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def words(clock: ManualClock) -> Words:
    return Words(clock)


def test_words_that_count_are_listed(words, clock):
    now = clock.now().timestamp()
    words.refuse_token("t", until=now + 10)
    words.refuse_older("ann", "news", issued_before=now, until=math.inf)
    words.block("bob", until=now + 10)
    assert list(words.tokens()) == [("t", now + 10)]
    assert list(words.bounds()) == [("ann", "news", now, math.inf)]
    assert list(words.blocks()) == [("bob", now + 10)]


def test_words_that_are_over_are_not_listed(words, clock):
    now = clock.now().timestamp()
    words.refuse_token("t", until=now + 10)
    words.refuse_older("ann", "", issued_before=now, until=now + 10)
    words.block("bob", until=now + 10)
    clock.move(10)
    assert not [*words.tokens(), *words.bounds(), *words.blocks()]


def test_a_word_about_nobody_changes_nothing(words, clock):
    for refused in (lambda: words.refuse_token("", until=math.inf), lambda: words.block("", until=math.inf)):
        with pytest.raises(BadInput):
            refused()
    assert len(words) == 0
