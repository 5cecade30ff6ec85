import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.protocol.delta import DeltaError, apply, diff, saving_diff

JSON = {"id": 7, "symbol": "ABC", "price": 100.25, "at": "2026-11-24T19:43:03Z", "venue": "Zürich", "active": True}


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def quotes(count: int, seed: int = 1) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {"id": chance.randrange(10**9), "symbol": f"S{i}", "price": chance.randrange(10**4), "name": f"Größe {i}"}
        for i in range(count)
    ]


def operations(patch: bytes) -> list[bytes]:
    """The copies and inserts of a patch, inserts without their bytes."""
    found, at = [], patch.index(b"\n") + 1
    while (operation := re.compile(rb"([\w~]+)(?:@[\w~]+,|[:;])").match(patch, at)) and not operation[0].endswith(b";"):
        found.append(operation[0])
        at = operation.end() + (int_of(operation[1]) if operation[0].endswith(b":") else 0)
    return found


def kinds(patch: bytes) -> str:
    return "".join("@" if operation.endswith(b",") else ":" for operation in operations(patch))


def int_of(digits: bytes) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~".index(digit)
    return value


@st.composite
def edited(draw: Callable[..., Any], source: st.SearchStrategy[bytes]) -> tuple[bytes, bytes]:
    """A base, and what some cuts, insertions, moves and repetitions made of it."""
    base = target = draw(source)
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted((draw(st.integers(0, len(target))), draw(st.integers(0, len(target)))))
        piece = draw(st.sampled_from((b"", target[start:end], target[start:end] * 2, draw(st.binary(max_size=30)))))
        rest = target[:start] + target[end:]
        at = draw(st.integers(0, len(rest)))
        target = rest[:at] + piece + rest[at:]
    return base, target


PAIRS = st.one_of(
    st.tuples(st.binary(max_size=200), st.binary(max_size=200)),
    edited(st.binary(max_size=1500)),
    edited(st.builds(bytes.__mul__, st.binary(max_size=20), st.integers(0, 80))),
    edited(st.integers(0, 30).map(quotes).map(encode)),
    st.tuples(*[st.text("аб€🎈x", max_size=120).map(str.encode)] * 2),
)


class TestDiff:
    @settings(deadline=None, max_examples=500)
    @given(PAIRS)
    @example((b"", b""))
    @example((b"", b"x"))
    @example((b"x", b""))
    @example((b"a" * 50, b"a" * 51))
    @example((b"\x80" * 60, b"\x80" * 20 + b"x" + b"\x80" * 39))
    def test_turns_the_base_into_the_target(self, pair):
        base, target = pair
        assert apply(base, diff(base, target)) == target

    @settings(deadline=None)
    @given(PAIRS)
    def test_is_hardly_longer_than_the_target(self, pair):
        base, target = pair
        assert len(diff(base, target)) <= len(target) + 24

    def test_writes_what_changed_between_two_copies(self):
        base = b'{"symbol":"ABC","price":100.25,"venue":"Berlin"}'
        target = b'{"symbol":"ABC","price":100.75,"venue":"Berlin"}'
        assert diff(base, target) == b"l\nS@0,1:7J@T,32b5N5;"

    def test_copies_the_whole_of_an_equal_payload(self):
        assert diff(b"0123456789abcdef", b"0123456789abcdef") == b"G\nG@0,12xn;"

    def test_is_made_only_where_it_is_smaller(self):
        shorter, longer = b"0123456789abc", b"0123456789abcd"
        assert len(diff(shorter, shorter)) == len(shorter)
        assert saving_diff(shorter, shorter) is None
        assert saving_diff(longer, longer) == diff(longer, longer) == b"E\nE@0,xcC;"

    def test_inserts_the_whole_where_nothing_is_shared(self):
        assert diff(b"", b"0123456789abcdef") == b"G\nG:0123456789abcdef12xn;"

    def test_writes_an_empty_target(self):
        assert diff(b"something", b"") == b"0\n0;"

    def test_does_not_copy_what_is_cheaper_to_insert(self):
        assert operations(diff(b"{abc}", b"{xyz}")) == [b"5:"]

    @pytest.mark.parametrize("changed", [1, 2, 5, 12])
    def test_costs_little_for_each_changed_number(self, changed):
        before, after = quotes(12), quotes(12)
        for quote in after[:changed]:
            quote["price"] += 10_000
        assert len(diff(encode(before), encode(after))) <= 20 + changed * 20

    @pytest.mark.parametrize("count", [3, 40, 500])
    def test_finds_what_moved(self, count):
        before = quotes(count)
        assert len(diff(encode(before), encode([*before[1:], before[0]]))) < 100

    def test_finds_a_window_that_slides(self):
        before = quotes(40)
        after = [*before[1:], *quotes(1, seed=2)]
        assert len(diff(encode(before), encode(after))) < len(encode(after)) / 20

    def test_goes_on_behind_the_copy_before_where_blocks_repeat(self):
        first, repeated, second, third, last = (random.Random(i).randbytes(60) for i in range(5))
        base = first + repeated + second + repeated + third + b"old" + last
        target = first + repeated + second + b"<new>" + repeated + third + b"<newer>" + last
        assert kinds(diff(base, target)) == "@:@:@"

    def test_takes_the_first_of_equal_blocks_elsewhere(self):
        run, tail = b"a" * 3000, random.Random(1).randbytes(2000)
        assert kinds(diff(run + tail, b"x" + tail + b"y" + run + b"z")) == ":@:@:"

    @pytest.mark.parametrize(
        ("base", "target"),
        [
            (random.Random(1).randbytes(65536), random.Random(2).randbytes(65536)),
            (b"a" * 65536, b"b" * 65536),
            (b"a" * 65536, (b"a" * 16 + b"b") * 3855),
        ],
        ids=["random", "one byte against another", "many short matches"],
    )
    def test_gives_up_where_a_search_costs_more_than_it_saves(self, base, target):
        patch = diff(base, target)
        assert len(operations(patch)) <= 520
        assert apply(base, patch) == target

    @pytest.mark.parametrize("size", [1023, 1024, 1025, 5000])
    @pytest.mark.parametrize("byte", [0x00, 0x80, 0xFF])
    def test_sums_whole_words(self, size, byte):
        target = bytes([byte]) * size
        padded = target + bytes(-size % 4)
        words = sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4)) % 2**32
        patch = diff(target, target)
        assert int_of(patch[patch.index(b",") + 1 : -1]) == words


class TestPatchOfTexts:
    @settings(deadline=None)
    @given(st.lists(st.text("аб€🎈 x", max_size=60), max_size=6), st.lists(st.text("аб€🎈 x", max_size=60), max_size=6))
    @example(["аааааааааааааааааааааааа"], ["аааааааааааабааааааааааа"])
    @example(["€" * 30], ["€" * 10 + "₭" + "€" * 19])
    def test_never_cuts_through_a_character(self, before, after):
        base, target = ("".join(parts).encode() for parts in (before, before + after))
        for pair in ((base, target), (target, base)):
            diff(*pair).decode()

    def test_copies_whole_characters_only(self):
        # By bytes, "Ж" and "і" end alike, and "а" and "е" begin alike: more is shared than the patch may copy.
        shared = "изнь коротка, искусство вечно"
        base, target = f"Ж{shared}а", f"{'новое ' * 5}і{shared}е{'ещё ' * 5}"
        patch = diff(base.encode(), target.encode()).decode()
        assert patch.startswith(f"2K\nu:{'новое ' * 5}іr@2,a:е{'ещё ' * 5}")


class TestApply:
    BASE = b"0123456789abcdef"

    @pytest.mark.parametrize(
        "delta",
        [
            b"",
            b"G",
            b"G\n",
            b"\nG@0,12xn;",
            b"G;G@0,12xn;",
            b"G\nG@0,",
            b"G\nG@0;12xn;",
            b"G\nG@0",
            b"G\nG@,12xn;",
            b"G\nG!0,12xn;",
            b"G\n0G@0,12xn;",
            b"0G\nG@0,12xn;",
            b"G\nG@0,12xn",
            b"G\nG@0,12xn;;",
            b"G\nG@0,12xn;G",
            b"G\nG@0,12xm;",
            b"H\nG@0,12xn;",
            b"F\nG@0,12xn;",
            b"G\nG@1,12xn;",
            b"G\nH@0,12xn;",
            b"G\nG:0123456789abcde",
            b"G\nG:0123456789abcde12xn;",
            b"0000001\n1:x1u0000;",
            b"1000000\n;",
            b"G\nG@0,\xff;",
        ],
    )
    def test_refuses_what_is_malformed(self, delta):
        with pytest.raises(DeltaError):
            apply(self.BASE, delta)

    def test_accepts_what_the_refused_ones_are_near_to(self):
        assert apply(self.BASE, b"G\nG@0,12xn;") == self.BASE

    def test_refuses_another_base(self):
        target = encode(JSON | {"price": 1})
        with pytest.raises(DeltaError):
            apply(encode(JSON | {"symbol": "XYZ"}), diff(encode(JSON), target))

    def test_refuses_a_copy_from_beyond_the_base(self):
        # The checksum alone would not tell: it takes the missing byte for a zero.
        assert apply(b"abc\0", diff(b"", b"abc\0")) == b"abc\0"
        checksum = diff(b"", b"abc\0").rpartition(b"\0")[2]
        with pytest.raises(DeltaError, match="exceeds its source"):
            apply(b"abc", b"4\n4@0," + checksum)

    def test_stops_at_the_size_that_was_announced(self):
        with pytest.raises(DeltaError, match="size of 16 bytes"):
            apply(self.BASE, b"G\n" + b"G@0," * 1000 + b"12xn;")

    @settings(deadline=None)
    @given(st.binary(max_size=40), st.binary(max_size=40))
    def test_survives_any_bytes(self, base, delta):
        try:
            apply(base, delta)
        except DeltaError as error:
            assert str(error)

    @settings(deadline=None, max_examples=300)
    @given(PAIRS, st.data())
    def test_notices_a_changed_byte(self, pair, data):
        base, target = pair
        patch = bytearray(diff(base, target))
        patch[data.draw(st.integers(0, len(patch) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            found = apply(base, bytes(patch))
        except DeltaError:
            return
        # The checksum adds words up, so it does not see words that changed places.
        assert len(found) == len(target)
