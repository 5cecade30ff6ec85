"""Recovery as a pure function: it is called recovered only where nothing is missing, and it gives all that was missed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.model import Position, Publication, Slice
from gateway.session.recovery import Gap, Recovery, merge, recover, recover_cache

EPOCH = "epoch"


def stream(first, last):
    return tuple(Publication(b"%d" % offset, offset, EPOCH) for offset in range(first, last + 1))


def offsets(publications):
    return [publication.offset for publication in publications]


def kept_after(asked, oldest, top):
    """What history gives for a question: what is kept after an offset, as far as it is kept."""
    return Slice(stream(max(asked + 1, oldest), top), Position(top, EPOCH))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.sampled_from([EPOCH, "", "other"]))
@example(5, 6, 5, 10, EPOCH)
@example(0, 1, 0, 10, "")
@example(3, 1, 2, 10, EPOCH)
@example(3, 5, 9, 10, EPOCH)
@example(3, 4, 9, 5, EPOCH)
def test_recovered_exactly_where_nothing_is_missing(asked, oldest, top, limit, epoch):
    kept = kept_after(asked, oldest, top) if epoch != "other" else None
    recovery = recover(Position(asked, epoch), kept, Position(top, EPOCH), limit=limit)
    missed = list(range(asked + 1, top + 1))
    is_whole = epoch != "other" and asked <= top and len(missed) <= limit and all(offset >= oldest for offset in missed)
    assert recovery.is_recovered is is_whole
    if is_whole:
        assert offsets(recovery.publications) == missed
        assert recovery.position == Position(asked, EPOCH)
    else:
        assert recovery.publications == ()
        assert recovery.position == Position(top, EPOCH)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 20), st.integers(0, 6), st.booleans())
def test_merging_gives_the_stream_without_hole_or_double(asked, top, first, count, is_other_epoch):
    """What came meanwhile is contiguous from any offset: it may overlap what was read, join it, or leave a hole."""
    read = Slice(stream(asked + 1, top), Position(max(asked, top), EPOCH))
    first = max(1, first)
    buffered = stream(first, first + count - 1)
    if is_other_epoch:
        buffered = tuple(Publication(entry.data, entry.offset, "other") for entry in buffered)
    later = [entry for entry in buffered if entry.offset > read.top.offset]
    has_gap = bool(later) and (is_other_epoch or later[0].offset != read.top.offset + 1)
    if has_gap:
        with pytest.raises(Gap):
            merge(read, buffered)
        return
    merged = merge(read, buffered)
    assert merged.top == Position(read.top.offset + len(later), EPOCH)
    assert offsets(merged.publications) == [*offsets(read.publications), *offsets(later)]


def test_what_is_in_no_stream_moves_nothing():
    read = Slice(stream(1, 2), Position(2, EPOCH))
    assert merge(read, [Publication(b"1"), *stream(3, 3), Publication(b"2")]).top.offset == 3
    assert merge(read, [Publication(b"1")]) is read


def test_a_hole_in_what_came_meanwhile_is_a_gap():
    with pytest.raises(Gap):
        merge(Slice((), Position(2, EPOCH)), [*stream(3, 3), *stream(5, 5)])


NEWEST = stream(7, 7)[0]
TOP = Position(7, EPOCH)


@pytest.mark.parametrize(
    ("asked", "newest", "top", "expected"),
    [
        (None, NEWEST, TOP, Recovery(True, TOP, (NEWEST,))),
        (Position(3, EPOCH), NEWEST, TOP, Recovery(True, TOP, (NEWEST,))),
        (Position(7, EPOCH), NEWEST, TOP, Recovery(True, TOP)),
        (Position(7, "other"), NEWEST, TOP, Recovery(True, TOP, (NEWEST,))),
        (Position(9, EPOCH), NEWEST, TOP, Recovery(True, TOP, (NEWEST,))),
        (Position(0, ""), NEWEST, TOP, Recovery(True, TOP, (NEWEST,))),
        # The newest is gone, or there never was one.
        (None, None, TOP, Recovery(False, TOP)),
        (Position(3, EPOCH), None, TOP, Recovery(False, TOP)),
        (Position(7, EPOCH), None, TOP, Recovery(True, TOP)),
        (None, None, Position(0, EPOCH), Recovery(False, Position(0, EPOCH))),
        (Position(0, EPOCH), None, Position(0, EPOCH), Recovery(False, Position(0, EPOCH))),
        (None, stream(6, 6)[0], TOP, Recovery(False, TOP)),
    ],
)
def test_cache_recovery(asked, newest, top, expected):
    assert recover_cache(asked, newest, top) == expected
