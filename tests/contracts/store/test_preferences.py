"""The preferences keep what their port says, on every database."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from broker.errors import BadInput
from broker.notification import Preference
from broker.store.store import Store


async def test_without_words_there_are_none(store: Store) -> None:
    assert list(await store.preferences.of_user("ann")) == []


async def test_they_are_listed_by_category_and_route(store: Store) -> None:
    words = [
        Preference("*", "*", True),
        Preference("*", "push", False),
        Preference("Zoo", "email", True),
        Preference("alarm", "email", False),
        Preference("alarm", "live", True),
        Preference("ärger", "live", True),
    ]
    await store.preferences.set("ann", words[::-1])
    assert list(await store.preferences.of_user("ann")) == words


async def test_named_pairs_are_replaced_and_others_stay(store: Store) -> None:
    await store.preferences.set("ann", [Preference("a", "push", True), Preference("b", "push", True)])
    await store.preferences.set("ann", [Preference("b", "push", False), Preference("b", "email", False)])
    assert list(await store.preferences.of_user("ann")) == [
        Preference("a", "push", True),
        Preference("b", "email", False),
        Preference("b", "push", False),
    ]


async def test_the_last_word_on_a_pair_counts(store: Store) -> None:
    await store.preferences.set("ann", [Preference("a", "push", True), Preference("a", "push", False)])
    assert list(await store.preferences.of_user("ann")) == [Preference("a", "push", False)]


async def test_they_are_a_users_own(store: Store) -> None:
    await store.preferences.set("ann", [Preference("a", "push", False)])
    await store.preferences.set("bob", [Preference("a", "push", True)])
    assert list(await store.preferences.of_user("ann")) == [Preference("a", "push", False)]


async def test_all_or_none(store: Store) -> None:
    await store.preferences.set("ann", [Preference("a", "push", True)])
    with pytest.raises(BadInput) as refused:
        await store.preferences.set("ann", [Preference("a", "push", False), Preference("b\0", "push", False)])
    assert refused.value.field == "preferences[1].category"
    assert list(await store.preferences.of_user("ann")) == [Preference("a", "push", True)]


async def test_sets_at_the_same_time_both_count(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    other = await open_another()
    words = [Preference(category, "push", False) for category in "abcdefgh"]
    for _ in range(5):
        sets = (store.preferences.set("ann", words), other.preferences.set("ann", words[::-1]))
        assert await together(*sets) == [None, None]
    assert list(await store.preferences.of_user("ann")) == words


@pytest.mark.parametrize("user", ["a\0nn", "ann\ud800", "a" * 1025])
async def test_a_name_that_cannot_be_kept_is_refused_and_has_none(store: Store, user: str) -> None:
    with pytest.raises(BadInput) as refused:
        await store.preferences.set(user, [Preference("a", "push", True)])
    assert refused.value.field == "user"
    assert list(await store.preferences.of_user(user)) == []


async def test_setting_nothing_changes_nothing(store: Store) -> None:
    await store.preferences.set("ann", [])
    assert list(await store.preferences.of_user("ann")) == []
