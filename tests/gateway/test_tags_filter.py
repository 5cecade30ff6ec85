import re
from collections.abc import Mapping
from decimal import Decimal, localcontext
from itertools import permutations
from typing import Any

import msgspec
import pytest
from centrifuge import Filter
from centrifuge import FilterNode as ClientFilterNode
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocol.messages import FilterNode, SubscribeRequest
from gateway.tags_filter import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_VALS,
    MAX_VALUES,
    canonical_key,
    compile_filter,
    shared_filter,
    shared_filters,
    validate,
)

ABSENT: dict[str, str] = {"other": "b"}
EMPTY = {"tag": ""}


def leaf(cmp: str, val: str = "", *vals: str, key: str = "tag") -> FilterNode:
    return FilterNode(key=key, cmp=cmp, val=val, vals=list(vals))


def join(op: str, *nodes: FilterNode) -> FilterNode:
    return FilterNode(op=op, nodes=list(nodes))


def nested(depth: int) -> FilterNode:
    node = leaf("ex")
    for _ in range(depth - 1):
        node = join("not", node)
    return node


def on_the_wire(filter: ClientFilterNode) -> FilterNode:
    """What a subscribe request brings of a filter that the official client built."""
    request = msgspec.json.decode(msgspec.json.encode({"channel": "c", "tf": filter.node}), type=SubscribeRequest)
    assert request.tf is not None
    return request.tf


@pytest.mark.parametrize(
    ("node", "matching", "others"),
    [
        (leaf("eq", "b"), ["b"], ["", "B", "bb", None]),
        (leaf("neq", "b"), ["", "B", "bb", None], ["b"]),
        (leaf("in", "", "a", "b"), ["a", "b"], ["", "c", "ab", None]),
        (leaf("in", "", "a", ""), ["a", "", None], ["b"]),
        (leaf("nin", "", "a", "b"), ["", "c", "ab", None], ["a", "b"]),
        (leaf("nin", "", "a", ""), ["b"], ["a", "", None]),
        (leaf("ex"), ["", "b"], [None]),
        (leaf("nex"), [None], ["", "b"]),
        (leaf("sw", "ab"), ["ab", "abc"], ["", "a", "cab", "Ab", None]),
        (leaf("ew", "ab"), ["ab", "cab"], ["", "b", "abc", None]),
        (leaf("ct", "ab"), ["ab", "cab", "abc", "cabc"], ["", "a", "ba", None]),
        (leaf("gt", "10"), ["10.1", "11", "100", "+11"], ["10", "10.0", "9", "-11", "", "abc", None]),
        (leaf("gte", "10"), ["10", "10.0", "010", "+10", "11"], ["9.99", "-10", "", "abc", None]),
        (leaf("lt", "10"), ["9.9", "9", "-11", "0"], ["10", "10.0", "11", "", "abc", None]),
        (leaf("lte", "10"), ["10", "10.00", "9", "-10"], ["10.01", "11", "", "abc", None]),
    ],
    ids=lambda value: f"{value.cmp} {value.val}{value.vals}" if isinstance(value, FilterNode) else "",
)
def test_comparison(node, matching, others):
    assert validate(node) == ""
    passes = compile_filter(node)
    tags: list[Mapping[str, str]] = [ABSENT if value is None else {"tag": value, **ABSENT} for value in matching + others]
    assert [passes(each) for each in tags] == [True] * len(matching) + [False] * len(others)


class TestNumbers:
    @pytest.mark.parametrize(
        "text",
        [
            *("", " ", " 1", "1 ", "1\n", "1e5", "1E5", "NaN", "nan", "inf", "-Infinity", "1_000", "0x10", "1,5"),
            *("1.", ".5", "-.5", "+", "-", "--1", "1.2.3", "١", "１", "0.12345678901234567890", "1" * 201),
        ],
    )
    @pytest.mark.parametrize("cmp", ["gt", "gte", "lt", "lte"])
    def test_anything_else_compares_false_on_either_side(self, cmp, text):
        assert not compile_filter(leaf(cmp, "1"))({"tag": text})
        assert not compile_filter(leaf(cmp, text))({"tag": "1"})
        assert not compile_filter(leaf(cmp, text))({"tag": text})

    @pytest.mark.parametrize("text", ["1", "+1", "01", "1.0", "1.0000000000000000000", "0" * 199 + "1"])
    def test_one_in_its_spellings(self, text):
        assert compile_filter(leaf("gte", "1"))({"tag": text})
        assert compile_filter(leaf("lte", text))({"tag": "1"})

    def test_zero_has_no_sign(self):
        assert compile_filter(leaf("gte", "0"))({"tag": "-0.0"})
        assert not compile_filter(leaf("lt", "0"))({"tag": "-0"})

    @pytest.mark.parametrize(
        ("smaller", "greater"),
        [
            ("9007199254740992", "9007199254740993"),
            ("0.1234567890123456788", "0.1234567890123456789"),
            ("1" + "0" * 198, "1" + "0" * 197 + "1"),
            ("99999999999999999999.9", "100000000000000000000"),
        ],
    )
    def test_compare_exactly_whatever_the_context(self, smaller, greater):
        with localcontext() as context:
            context.prec = 3
            assert compile_filter(leaf("gt", smaller))({"tag": greater})
            assert not compile_filter(leaf("gte", greater))({"tag": smaller})
            assert not compile_filter(leaf("gt", greater))({"tag": greater})


class TestJoining:
    yes, no = leaf("eq", "b"), leaf("eq", "x")

    @pytest.mark.parametrize(
        ("node", "expected"),
        [
            (join("and", yes), True),
            (join("and", no), False),
            (join("and", yes, yes), True),
            (join("and", yes, no), False),
            (join("and", no, yes), False),
            (join("or", yes), True),
            (join("or", no), False),
            (join("or", no, yes), True),
            (join("or", yes, no), True),
            (join("or", no, no), False),
            (join("not", yes), False),
            (join("not", no), True),
            (join("not", join("not", yes)), True),
            (join("and", yes, join("or", no, join("not", no))), True),
        ],
    )
    def test_of_what_holds_and_what_does_not(self, node, expected):
        assert validate(node) == ""
        assert compile_filter(node)({"tag": "b"}) is expected

    def test_reads_only_the_fields_of_its_kind(self):
        strays = FilterNode(op="not", key="k", cmp="bogus", val="v", vals=["w"], nodes=[self.no])
        assert validate(strays) == ""
        assert compile_filter(strays)({"tag": "b"})
        assert validate(FilterNode(key="tag", cmp="ex", nodes=[FilterNode(op="bogus")])) == ""


class TestValidate:
    @pytest.mark.parametrize("cmp", ["eq", "neq", "sw", "ew", "ct", "gt", "gte", "lt", "lte"])
    def test_one_value(self, cmp):
        assert validate(leaf(cmp, "1")) == ""
        assert validate(leaf(cmp)) == f"val must not be empty for cmp {cmp}"
        assert validate(leaf(cmp, "1", "2")) == f"vals must be absent for cmp {cmp}"
        assert validate(leaf(cmp, "1", key="")) == f"key must not be empty for cmp {cmp}"

    @pytest.mark.parametrize("cmp", ["in", "nin"])
    def test_many_values(self, cmp):
        assert validate(leaf(cmp, "", "1")) == ""
        assert validate(leaf(cmp, "", "")) == ""
        assert validate(leaf(cmp)) == f"vals must not be empty for cmp {cmp}"
        assert validate(leaf(cmp, "1", "2")) == f"val must be absent for cmp {cmp}"
        assert validate(leaf(cmp, "", "1", key="")) == f"key must not be empty for cmp {cmp}"

    @pytest.mark.parametrize("cmp", ["ex", "nex"])
    def test_no_value(self, cmp):
        assert validate(leaf(cmp)) == ""
        assert validate(leaf(cmp, key="")) == ""
        assert validate(leaf(cmp, "1")) == f"val must be absent for cmp {cmp}"
        assert validate(leaf(cmp, "", "1")) == f"vals must be absent for cmp {cmp}"

    @pytest.mark.parametrize("cmp", ["", "EQ", "regex", "in "])
    def test_unknown_comparison(self, cmp):
        assert validate(leaf(cmp, "1")) == "cmp must be one of ct, eq, ew, ex, gt, gte, in, lt, lte, neq, nex, nin, sw"

    def test_numbers_are_not_asked_of_a_value(self):
        assert validate(leaf("gt", "many")) == ""

    @pytest.mark.parametrize("op", ["AND", "xor", "leaf"])
    def test_unknown_op(self, op):
        assert validate(join(op, leaf("ex"))) == "op must be and, or, not, or empty for a comparison"

    def test_how_many_nodes_an_op_joins(self):
        assert validate(join("and")) == "nodes must not be empty for op and"
        assert validate(join("or")) == "nodes must not be empty for op or"
        assert validate(join("not")) == "nodes must hold exactly one node for op not"
        assert validate(join("not", leaf("ex"), leaf("ex"))) == "nodes must hold exactly one node for op not"

    def test_says_where(self):
        node = join("and", leaf("ex"), join("or", leaf("ex"), leaf("nex"), leaf("eq")))
        assert validate(node) == "nodes[1].nodes[2].val must not be empty for cmp eq"

    def test_depth(self):
        assert validate(nested(MAX_DEPTH)) == ""
        assert validate(nested(MAX_DEPTH + 1)) == "nodes must not be nested deeper than 8"
        assert validate(nested(100_000)) == "nodes must not be nested deeper than 8"

    def test_number_of_nodes(self):
        leaves = [leaf("ex")] * (MAX_NODES - 2)
        assert validate(join("and", leaf("ex"), *leaves)) == ""
        assert validate(join("and", join("or", leaf("ex")), *leaves)) == "there must not be more than 64 nodes"

    def test_number_of_values(self):
        values = [str(i) for i in range(MAX_VALS)]
        assert validate(leaf("in", "", *values)) == ""
        assert validate(leaf("in", "", *values, "more")) == "vals must not hold more than 128 values"

    def test_values_in_all(self):
        full = leaf("in", "", *map(str, range(MAX_VALS)))
        most = [full] * (MAX_VALUES // MAX_VALS)
        assert validate(join("and", *most)) == ""
        fault = "there must not be more than 512 values in vals, all nodes together"
        assert validate(join("and", *most, leaf("in", "", "more"))) == fault
        assert validate(join("and", *most[1:], join("not", full), leaf("in", "", "more"))) == fault

    def test_bytes_in_all(self):
        half = "ä" * (MAX_BYTES // 4)
        assert validate(join("or", leaf("eq", half[2:]), leaf("eq", half[1:]))) == ""  # and twice the key "tag"
        fault = "keys and values must not take more than 16384 bytes, all nodes together"
        assert validate(join("or", leaf("eq", half), leaf("eq", half))) == fault
        assert validate(leaf("in", "", "x" * MAX_BYTES)) == fault


class TestCanonicalKey:
    @pytest.mark.parametrize(
        "equal",
        [
            [leaf("in", "", *values) for values in permutations("abc")] + [leaf("in", "", "c", "a", "b", "a")],
            [join("and", *nodes) for nodes in permutations([leaf("ex"), leaf("eq", "b"), join("not", leaf("nex"))])],
            [join("or", leaf("ex"), leaf("nex")), join("or", leaf("nex"), leaf("ex"), leaf("nex"))],
            [leaf("ex"), FilterNode(key="tag", cmp="ex", nodes=[leaf("nex")])],
            [join("not", leaf("ex")), FilterNode(op="not", key="x", cmp="eq", val="y", nodes=[leaf("ex")])],
        ],
    )
    def test_is_one_for_what_is_the_same(self, equal):
        keys = {canonical_key(node) for node in equal}
        assert len(keys) == 1
        assert all(keys)

    def test_parts_what_differs(self):
        nodes = [
            leaf("eq", "b"),
            leaf("neq", "b"),
            leaf("eq", "c"),
            leaf("eq", "b", key="other"),
            leaf("eq", "tag", key="b"),
            leaf("in", "", "b"),
            leaf("in", "", "b", ""),
            leaf("in", "", "b,c"),
            leaf("in", "", "b", "c"),
            leaf("nin", "", "b", "c"),
            leaf("in", "", 'b","c'),
            join("and", leaf("ex"), leaf("eq", "b")),
            join("or", leaf("ex"), leaf("eq", "b")),
            join("not", leaf("eq", "b")),
            join("not", join("not", leaf("eq", "b"))),
        ]
        assert len({canonical_key(node) for node in nodes}) == len(nodes)

    def test_has_one_size(self):
        assert {len(canonical_key(node)) for node in (leaf("ex"), leaf("in", "", *map(str, range(128))))} == {32}


@pytest.mark.parametrize(
    ("built", "tags", "expected"),
    [
        (Filter.eq("ticker", "AAPL"), {"ticker": "AAPL"}, True),
        (Filter.neq("ticker", "AAPL"), {"ticker": "AAPL"}, False),
        (Filter.is_in("source", ["NASDAQ", "NYSE"]), {"source": "NYSE"}, True),
        (Filter.not_in("source", ["NASDAQ", "NYSE"]), {"source": "NYSE"}, False),
        (Filter.exists("source"), {"source": ""}, True),
        (Filter.not_exists("source"), {"source": ""}, False),
        (Filter.starts_with("ticker", "AA"), {"ticker": "AAPL"}, True),
        (Filter.ends_with("ticker", "AA"), {"ticker": "AAPL"}, False),
        (Filter.contains("ticker", "AP"), {"ticker": "AAPL"}, True),
        (Filter.gt("price", "100"), {"price": "99.5"}, False),
        (Filter.gte("price", "100"), {"price": "100"}, True),
        (Filter.lt("price", "100"), {"price": "99.5"}, True),
        (Filter.lte("price", "100"), {"price": "100.5"}, False),
        (Filter.negate(Filter.eq("source", "NYSE")), {}, True),
        (Filter.any(Filter.eq("a", "1"), Filter.eq("b", "1")), {"b": "1"}, True),
        (Filter.all(Filter.eq("a", "1"), Filter.eq("b", "1")), {"b": "1"}, False),
    ],
)
def test_what_the_official_client_builds(built, tags, expected):
    node = on_the_wire(built)
    assert validate(node) == ""
    assert compile_filter(node)(tags) is expected


KEYS = st.sampled_from(("a", "b", "c"))
VALUES = st.sampled_from(("", "1", "1.0", "2", "-1", "10", "x", "1x", "xx"))
FULL_VALUES = VALUES.filter(bool)
ONE_VALUE = (Filter.eq, Filter.neq, Filter.starts_with, Filter.ends_with, Filter.contains)
NUMBERS = (Filter.gt, Filter.gte, Filter.lt, Filter.lte)
LEAVES = st.one_of(
    *[st.builds(build, KEYS, FULL_VALUES) for build in (*ONE_VALUE, *NUMBERS)],
    *[st.builds(build, KEYS, st.lists(VALUES, min_size=1, max_size=3)) for build in (Filter.is_in, Filter.not_in)],
    *[st.builds(build, KEYS) for build in (Filter.exists, Filter.not_exists)],
)
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.lists(trees, min_size=1, max_size=3).map(lambda nodes: Filter.all(*nodes)),
        st.lists(trees, min_size=1, max_size=3).map(lambda nodes: Filter.any(*nodes)),
        trees.map(Filter.negate),
    ),
    max_leaves=8,
).map(on_the_wire)
TAGS = st.dictionaries(KEYS, VALUES)


def naive(node: FilterNode, tags: dict[str, str]) -> bool:
    """Read the rules of the protocol's table one by one."""
    if node.op:
        parts = [naive(each, tags) for each in node.nodes]
        return {"and": all(parts), "or": any(parts), "not": not parts[0]}[node.op]
    present, tag = node.key in tags, tags.get(node.key, "")
    rules: dict[str, Any] = {
        "eq": present and tag == node.val,
        "neq": not present or tag != node.val,
        "in": tag in node.vals,
        "nin": tag not in node.vals,
        "ex": present,
        "nex": not present,
        "sw": present and tag[: len(node.val)] == node.val,
        "ew": present and tag[len(tag) - len(node.val) :] == node.val and len(tag) >= len(node.val),
        "ct": present and tag.count(node.val) > 0,
    }
    if node.cmp in rules:
        return bool(rules[node.cmp])
    if not all(re.fullmatch("-?[0-9]+([.][0-9]+)?", text) for text in (tag, node.val)):
        return False
    difference = Decimal(tag) - Decimal(node.val)
    return {"gt": difference > 0, "gte": difference >= 0, "lt": difference < 0, "lte": difference <= 0}[node.cmp]


@given(TREES, TAGS)
@example(on_the_wire(Filter.not_in("a", ["", "1"])), {})
def test_agrees_with_a_naive_reading(node, tags):
    if validate(node) == "":
        assert compile_filter(node)(tags) is naive(node, tags)
    else:
        assert "nested deeper" in validate(node)


@given(TREES, TREES, TAGS)
def test_filters_with_one_key_pass_the_same(first, second, tags):
    shuffled = FilterNode(op="and", nodes=[second, first, second])
    joined = FilterNode(op="and", nodes=[first, second])
    assert canonical_key(joined) == canonical_key(shuffled)
    assert compile_filter(joined)(tags) is compile_filter(shuffled)(tags)
    if canonical_key(first) == canonical_key(second):
        assert compile_filter(first)(tags) is compile_filter(second)(tags)


ANYTHING = st.recursive(
    st.builds(FilterNode, *[st.text(max_size=3)] * 4) | LEAVES.map(on_the_wire),
    lambda nodes: st.builds(FilterNode, op=st.sampled_from(("", "and", "or", "not", "x")), nodes=st.lists(nodes)),
    max_leaves=10,
)


@given(ANYTHING, TAGS)
def test_whatever_is_valid_compiles(node, tags):
    if not validate(node):
        assert compile_filter(node)(tags) in (True, False)
        assert canonical_key(node)


def test_equal_filters_are_one_and_unused_ones_are_gone():
    before = shared_filters()
    key, passes = shared_filter(join("and", leaf("eq", "a"), leaf("ex")))
    again = shared_filter(join("and", leaf("ex"), leaf("eq", "a")))
    assert again == (key, passes)
    assert again[1] is passes
    assert shared_filters() == before + 1
    del passes, again
    assert shared_filters() == before
