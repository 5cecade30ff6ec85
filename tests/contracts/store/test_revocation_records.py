"""Words about who is not let in, on every database: kept until their end, and only ever strengthened."""

import math
from collections.abc import Awaitable, Callable

import pytest

from broker.errors import BadInput
from broker.revocation_records import RevocationWord, WordKind
from broker.store.store import Store
from config.clock import ManualClock


async def test_words_are_kept_until_their_end(store: Store, clock: ManualClock) -> None:
    now = clock.now().timestamp()
    words = [
        RevocationWord(WordKind.BLOCK, "ann", math.inf),
        RevocationWord(WordKind.TOKEN, "t1", now + 60),
        RevocationWord(WordKind.USER_TOKENS, "ann", math.inf, "", now),
        RevocationWord(WordKind.USER_TOKENS, "ann", now + 3600, "news", now - 1),
    ]
    for word in words:
        await store.revocations.keep(word)
    assert sorted(await store.revocations.all(), key=repr) == sorted(words, key=repr)
    clock.move(60)
    assert sorted(await store.revocations.all(), key=repr) == sorted((one for one in words if one.subject != "t1"), key=repr)


@pytest.mark.parametrize(
    ("kind", "first", "second", "kept"),
    [
        (WordKind.TOKEN, (0, 50), (0, 20), (0, 50)),
        (WordKind.TOKEN, (0, 50), (0, math.inf), (0, math.inf)),
        (WordKind.USER_TOKENS, (10, 50), (20, 40), (20, 50)),
        (WordKind.USER_TOKENS, (20, 40), (10, 50), (20, 50)),
        (WordKind.BLOCK, (0, math.inf), (0, 20), (0, 20)),
        (WordKind.BLOCK, (0, 20), (0, 50), (0, 50)),
    ],
)
async def test_a_word_said_twice(
    store: Store,
    clock: ManualClock,
    kind: WordKind,
    first: tuple[float, float],
    second: tuple[float, float],
    kept: tuple[float, float],
) -> None:
    now = clock.now().timestamp()

    def word(said: tuple[float, float]) -> RevocationWord:
        return RevocationWord(kind, "x", now + said[1], "", now + said[0] if kind is WordKind.USER_TOKENS else 0.0)

    await store.revocations.keep(word(first))
    await store.revocations.keep(word(second))
    assert list(await store.revocations.all()) == [word(kept)]


async def test_a_block_is_forgotten_and_nothing_else(store: Store) -> None:
    for kind in WordKind:
        await store.revocations.keep(RevocationWord(kind, "ann", math.inf))
    for user in ("ann", "ann", "ben", "a\0b"):
        await store.revocations.forget_block(user)
    assert sorted(one.kind for one in await store.revocations.all()) == ["token", "user_tokens"]


async def test_erasing_a_user_lets_nobody_in(store: Store) -> None:
    word = RevocationWord(WordKind.USER_TOKENS, "ann", math.inf, "", 5.5)
    await store.revocations.keep(word)
    await store.erasure.erase("ann")
    assert list(await store.revocations.all()) == [word]


async def test_they_hold_for_whoever_opens_the_database_later(
    store: Store, open_another: Callable[[], Awaitable[Store]]
) -> None:
    word = RevocationWord(WordKind.TOKEN, "t1", math.inf)
    await store.revocations.keep(word)
    await store.close()
    assert list(await (await open_another()).revocations.all()) == [word]


@pytest.mark.parametrize("subject", ["x" * 5000, "a\0b", "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, subject: str) -> None:
    with pytest.raises(BadInput, match="uid"):
        await store.revocations.keep(RevocationWord(WordKind.TOKEN, subject, math.inf))
    with pytest.raises(BadInput, match="channel"):
        await store.revocations.keep(RevocationWord(WordKind.USER_TOKENS, "ann", math.inf, subject))
