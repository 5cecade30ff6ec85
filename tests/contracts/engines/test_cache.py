"""The port SharedCache, sentence by sentence, on the engines that have one; `test_memory_cache.py` is about the one without."""

import pytest

from broker.cache import NO_GENERATION, Found, Place

PLACE = Place("preferences", "ann", "1")
NOTHING = Found(None, 0.0, NO_GENERATION)


pytestmark = pytest.mark.parametrize(
    "engine_case",
    [
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("cluster", marks=[pytest.mark.redis, pytest.mark.slow]),
    ],
    indirect=True,
)


@pytest.fixture
def cache(engine):
    assert engine.cache.is_there
    return engine.cache


async def test_a_value_is_found_as_it_was_put(cache):
    assert await cache.get(PLACE) == NOTHING
    value = bytes(range(256))
    assert await cache.put(PLACE, value, ttl_s=60, generation=NO_GENERATION) is True
    found = await cache.get(PLACE)
    assert (found.value, found.generation) == (value, NO_GENERATION)
    assert 0 < found.left_s <= 60


async def test_places_do_not_meet(cache):
    places = [
        Place("preferences", "a", "b"),
        Place("preferences", "ab"),
        Place("preferences", "", "ab"),
        Place("templates", "a", "b"),
        Place("preferences", "a{b}", "}"),
        Place("preferences", "a{b}\0é", ":"),
    ]
    for number, place in enumerate(places):
        await cache.put(place, b"%d" % number, ttl_s=60, generation=NO_GENERATION)
    assert [(await cache.get(place)).value for place in places] == [b"%d" % number for number in range(len(places))]


async def test_it_counts_for_so_long(cache, pass_time):
    await cache.put(PLACE, b"x", ttl_s=60, generation=NO_GENERATION)
    await pass_time(50)
    assert 0 < (await cache.get(PLACE)).left_s <= 10
    await pass_time(11)
    assert await cache.get(PLACE) == NOTHING


async def test_forgetting_a_home_lets_go_of_all_its_entries_and_no_others(cache):
    others = [Place("preferences", "bob", "1"), Place("templates", "ann", "1")]
    for place in (PLACE, Place("preferences", "ann", "2"), *others):
        await cache.put(place, b"x", ttl_s=60, generation=NO_GENERATION)
    await cache.forget("preferences", "ann")
    found = await cache.get(PLACE)
    assert (found.value, found.left_s) == (None, 0.0)
    assert found.generation != NO_GENERATION
    assert (await cache.get(Place("preferences", "ann", "2"))).value is None
    assert [(await cache.get(place)).value for place in others] == [b"x", b"x"]


async def test_who_asked_before_it_was_forgotten_writes_nothing_after(cache):
    told = (await cache.get(PLACE)).generation
    await cache.forget("preferences", "ann")
    assert await cache.put(PLACE, b"old", ttl_s=60, generation=told) is False
    now = (await cache.get(PLACE)).generation
    assert await cache.put(PLACE, b"new", ttl_s=60, generation=now) is True
    assert (await cache.get(PLACE)).value == b"new"
    await cache.forget("preferences", "ann")
    assert await cache.put(PLACE, b"old", ttl_s=60, generation=now) is False
    assert (await cache.get(PLACE)).value is None


async def test_what_was_forgotten_does_not_come_back(cache, pass_time):
    await cache.put(PLACE, b"old", ttl_s=86400, generation=NO_GENERATION)
    await cache.forget("preferences", "ann")
    for _ in range(25):
        assert (await cache.get(PLACE)).value is None
        await pass_time(3600)


async def test_the_last_value_counts(cache, pass_time):
    await cache.put(PLACE, b"one", ttl_s=10, generation=NO_GENERATION)
    await cache.put(PLACE, b"two", ttl_s=60, generation=NO_GENERATION)
    await pass_time(20)
    assert (await cache.get(PLACE)).value == b"two"
