"""What addresses say about themselves."""

import pytest

from loadtest.simulators.fates import Fate, Fates, fate_of_token, fate_of_word


@pytest.mark.parametrize(
    ("address", "fate"),
    [
        ("alice", Fate.TAKEN),
        ("phone-unregistered-1", Fate.GONE),
        ("unregistered@example.test", Fate.GONE),
        ("https://push.simulator.test/p/busy-1", Fate.BUSY),
        ("refused", Fate.REFUSED),
        ("", Fate.TAKEN),
    ],
)
def test_words(address: str, fate: Fate) -> None:
    assert fate_of_word(address) is fate


@pytest.mark.parametrize(
    ("prefix", "fate"),
    [("dead", Fate.GONE), ("DEAD", Fate.GONE), ("b005", Fate.BUSY), ("bad0", Fate.REFUSED), ("abcd", Fate.TAKEN)],
)
def test_tokens_begin_with_their_fate(prefix: str, fate: Fate) -> None:
    assert fate_of_token(prefix + "0" * 60) is fate
    assert fate_of_token("0" * 60 + prefix) is Fate.TAKEN


def test_a_busy_address_is_busy_once() -> None:
    fates = Fates()
    settled = [fates.settle(address, Fate.BUSY) for address in ("a", "a", "b", "a", "b")]
    assert settled == [Fate.BUSY, Fate.TAKEN, Fate.BUSY, Fate.TAKEN, Fate.TAKEN]
    fates.clear()
    assert fates.settle("a", Fate.BUSY) is Fate.BUSY


def test_other_fates_never_change() -> None:
    fates = Fates()
    for fate in (Fate.TAKEN, Fate.GONE, Fate.REFUSED):
        assert [fates.settle("a", fate) for _ in range(2)] == [fate, fate]


def test_the_oldest_busy_address_is_forgotten_first() -> None:
    fates = Fates(capacity=2)
    for address in ("a", "b", "c"):
        fates.settle(address, Fate.BUSY)
    assert fates.settle("c", Fate.BUSY) is Fate.TAKEN
    assert fates.settle("a", Fate.BUSY) is Fate.BUSY
