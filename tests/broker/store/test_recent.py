"""What ended lately is remembered, up to a bound."""

from broker.store.recent import RecentlyEnded


def test_the_oldest_make_room() -> None:
    ended = RecentlyEnded(limit=3)
    for one in "abcd":
        ended.add(one)
    assert [one in ended for one in "abcd"] == [False, True, True, True]
    assert len(ended) == 3


def test_adding_again_makes_it_the_newest() -> None:
    ended = RecentlyEnded(limit=2)
    for one in "abac":
        ended.add(one)
    assert [one in ended for one in "abc"] == [True, False, True]
