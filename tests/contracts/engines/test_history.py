"""The port History, sentence by sentence; streams of PROTOCOL §5.2 and reading of §5.3."""

import pytest

from broker.errors import PositionLost
from broker.history import ALL
from broker.model import Position, Publication, PublishOptions


@pytest.fixture
def fill(engine, kept):
    """Publish payloads `first` … `last` in a channel; give the last position."""

    async def fill_channel(first: int, last: int, size: int = 100, ttl_s: float = 60.0, **more) -> Position:
        for number in range(first, last + 1):
            published = await engine.pubsub.publish("news", Publication(b"%d" % number), kept(size, ttl_s, **more))
        return published.position

    return fill_channel


@pytest.fixture
def offsets(engine):
    """Read the channel and give the offsets, after checking that payload and position agree."""

    async def read(since: Position | None = None, limit: int = ALL, **more) -> list[int]:
        past = await engine.history.read("news", since=since, limit=limit, **more)
        for publication in past.publications:
            assert publication.data == b"%d" % publication.offset
            assert publication.epoch == past.top.epoch
        return [publication.offset for publication in past.publications]

    return read


async def test_a_first_read_begins_the_stream_at_top_zero(engine, kept):
    past = await engine.history.read("news", since=None, limit=ALL)
    assert past.publications == ()
    assert past.top.offset == 0
    assert past.top.epoch
    assert (await engine.pubsub.publish("news", Publication(b"1"), kept())).position == Position(1, past.top.epoch)


async def test_reading_again_keeps_the_position(engine):
    first = await engine.history.read("news", since=None, limit=0)
    assert (await engine.history.read("news", since=None, limit=0)).top == first.top


async def test_epochs_of_channels_differ(engine):
    tops = [(await engine.history.read(f"ch{number}", since=None, limit=0)).top.epoch for number in range(20)]
    assert len(set(tops)) == 20


# Since, limit and reverse. Of ten publications the last five are kept: 6 … 10.


@pytest.mark.parametrize(
    ("since", "limit", "expected"),
    [
        (None, ALL, [6, 7, 8, 9, 10]),
        (None, 2, [6, 7]),
        (None, 5, [6, 7, 8, 9, 10]),
        (None, 99, [6, 7, 8, 9, 10]),
        (None, 0, []),
        (0, ALL, [6, 7, 8, 9, 10]),  # older ones are gone: starts at the oldest kept
        (0, 2, [6, 7]),
        (4, ALL, [6, 7, 8, 9, 10]),
        (5, ALL, [6, 7, 8, 9, 10]),
        (6, ALL, [7, 8, 9, 10]),
        (7, 2, [8, 9]),
        (9, ALL, [10]),
        (9, 5, [10]),
        (10, ALL, []),
        (11, ALL, []),
        (99, 3, []),
        (7, 0, []),
        (7, -5, [8, 9, 10]),
    ],
)
async def test_reading_forward(fill, offsets, since, limit, expected):
    top = await fill(1, 10, size=5)
    assert await offsets(None if since is None else Position(since, top.epoch), limit) == expected


@pytest.mark.parametrize(
    ("since", "limit", "expected"),
    [
        (None, ALL, [10, 9, 8, 7, 6]),
        (None, 2, [10, 9]),
        (None, 99, [10, 9, 8, 7, 6]),
        (None, 0, []),
        (11, ALL, [10, 9, 8, 7, 6]),
        (11, 2, [10, 9]),
        (10, ALL, [9, 8, 7, 6]),
        (10, 2, [9, 8]),
        (8, ALL, [7, 6]),
        (8, 99, [7, 6]),
        (7, ALL, [6]),
        (6, ALL, []),  # the one just before is gone
        (3, ALL, []),
        (1, ALL, []),
        (0, ALL, []),
        (12, ALL, []),  # the one just before never was
        (8, 0, []),
    ],
)
async def test_reading_in_reverse(fill, offsets, since, limit, expected):
    top = await fill(1, 10, size=5)
    position = None if since is None else Position(since, top.epoch)
    assert await offsets(position, limit, reverse=True) == expected


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 300])
async def test_pages_join_without_overlap_or_hole(fill, offsets, size):
    top = await fill(1, 300, size=size)
    position, pages = Position(0, top.epoch), []
    while page := await offsets(position, 7):
        pages += page
        position = Position(page[-1], top.epoch)
    assert pages == list(range(301 - size, 301))


async def test_the_top_is_told_with_every_slice(engine, fill):
    top = await fill(1, 10, size=5)
    for since, limit, reverse in ((None, 0, False), (None, 2, True), (Position(7, ""), 2, False), (Position(99, ""), 2, True)):
        assert (await engine.history.read("news", since=since, limit=limit, reverse=reverse)).top == top


@pytest.mark.parametrize("limit", [0, 1, ALL])
@pytest.mark.parametrize("reverse", [False, True])
async def test_another_epoch_is_refused(engine, fill, limit, reverse):
    await fill(1, 3)
    with pytest.raises(PositionLost):
        await engine.history.read("news", since=Position(2, "_"), limit=limit, reverse=reverse)


async def test_another_epoch_is_refused_by_a_stream_that_has_just_begun(engine):
    with pytest.raises(PositionLost):
        await engine.history.read("news", since=Position(0, "abcdefgh"), limit=ALL)


@pytest.mark.parametrize("reverse", [False, True])
async def test_an_empty_epoch_matches_any(fill, offsets, reverse):
    await fill(1, 3)
    assert await offsets(Position(2, ""), reverse=reverse) == ([1] if reverse else [3])


async def test_a_slice_does_not_change_when_the_stream_does(engine, fill):
    await fill(1, 3, size=3)
    past = await engine.history.read("news", since=None, limit=ALL)
    await fill(4, 6, size=3)
    assert [publication.offset for publication in past.publications] == [1, 2, 3]


# What ends (PROTOCOL §5.2)


async def test_size_drops_the_oldest_and_leaves_the_top(engine, fill, offsets):
    top = await fill(1, 4, size=3)
    assert await offsets() == [2, 3, 4]
    assert (await engine.history.read("news", since=None, limit=0)).top == top


async def test_a_smaller_size_trims_at_the_next_publish(fill, offsets):
    await fill(1, 9, size=9)
    await fill(10, 10, size=2)
    assert await offsets() == [9, 10]


async def test_a_larger_size_does_not_bring_back(fill, offsets):
    await fill(1, 9, size=2)
    await fill(10, 10, size=9)
    assert await offsets() == [8, 9, 10]


async def test_remove_drops_publications_and_keeps_top_and_epoch(engine, fill, offsets):
    top = await fill(1, 3)
    await engine.history.remove("news")
    assert await offsets() == []
    assert (await engine.history.read("news", since=None, limit=0)).top == top
    assert await fill(4, 4) == Position(4, top.epoch)
    assert await offsets() == [4]


async def test_removing_twice_or_nothing_is_no_error(engine, fill):
    await engine.history.remove("news")
    await fill(1, 3)
    await engine.history.remove("news")
    await engine.history.remove("news")


async def test_publications_go_together_when_the_last_one_is_older_than_the_ttl(engine, fill, offsets, pass_time):
    await fill(1, 2, ttl_s=10)
    await pass_time(9)
    top = await fill(3, 3, ttl_s=10)
    await pass_time(9)
    assert await offsets() == [1, 2, 3]
    await pass_time(1)
    assert await offsets() == []
    assert (await engine.history.read("news", since=None, limit=0)).top == top


async def test_after_the_ttl_offsets_go_on(fill, offsets, pass_time):
    top = await fill(1, 3, ttl_s=10)
    await pass_time(10)
    assert await fill(4, 4, ttl_s=10) == Position(4, top.epoch)
    assert await offsets() == [4]


async def test_reading_does_not_prolong_publications(offsets, fill, pass_time):
    await fill(1, 3, ttl_s=10)
    await pass_time(6)
    assert await offsets() == [1, 2, 3]
    await pass_time(4)
    assert await offsets() == []


async def test_an_unused_stream_is_forgotten_after_the_meta_ttl(fill, pass_time):
    top = await fill(1, 3, ttl_s=10, history_meta_ttl_s=100.0)
    await pass_time(99)
    assert await fill(4, 4, ttl_s=10, history_meta_ttl_s=100.0) == Position(4, top.epoch)
    await pass_time(100)
    anew = await fill(1, 1, ttl_s=10, history_meta_ttl_s=100.0)
    assert anew.offset == 1
    assert anew.epoch != top.epoch


async def test_a_read_counts_as_use(engine, fill, pass_time):
    top = await fill(1, 3, history_meta_ttl_s=100.0)
    for _ in range(3):
        await pass_time(99)
        assert (await engine.history.read("news", since=None, limit=0, meta_ttl_s=100.0)).top == top
    await pass_time(100)
    assert (await engine.history.read("news", since=None, limit=0, meta_ttl_s=100.0)).top.offset == 0


async def test_a_stream_that_was_only_read_is_forgotten_too(engine, pass_time):
    first = await engine.history.read("news", since=None, limit=0, meta_ttl_s=100.0)
    await pass_time(100)
    assert (await engine.history.read("news", since=None, limit=0, meta_ttl_s=100.0)).top.epoch != first.top.epoch


async def test_a_forgotten_stream_has_no_version(engine, kept, pass_time):
    options = kept(ttl_s=10, version=5, history_meta_ttl_s=100.0)
    await engine.pubsub.publish("news", Publication(b"1"), options)
    await pass_time(100)
    assert not (await engine.pubsub.publish("news", Publication(b"1"), options)).suppressed


async def test_a_publish_without_history_is_no_use(engine, fill, pass_time):
    top = await fill(1, 3, history_meta_ttl_s=100.0)
    await pass_time(60)
    await engine.pubsub.publish("news", Publication(b"x"), PublishOptions())
    await pass_time(60)
    assert (await engine.history.read("news", since=None, limit=0)).top.epoch != top.epoch
