"""Patterns of channel names: against the standard library's `re`, and where that one would hang."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.auth.patterns import BadPattern, Regex, Wildcard

NAMES = st.text("ab:#$1_", max_size=12)
ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-b1]", r"\d", r"\W", r"\$", "^", "$", "[]a]", r"[\d_]", r"[^\W]"])
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?"])


def groups(inner):
    return st.one_of(
        st.tuples(inner, REPEATS).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
        st.tuples(inner, inner).map(lambda parts: f"({parts[0]}|{parts[1]})"),
        st.tuples(inner, inner).map("".join),
    )


@given(st.recursive(ATOMS, groups, max_leaves=8), st.lists(NAMES, min_size=1, max_size=5))
@example("(a|^)*b$", ["b", "ab", "bb"])
@example("(a*)*", ["", "aaa", "b"])
@example("^a$|^b$", ["a", "b", "ab"])
@example("(|a)(b|)", ["", "a", "b", "ab", "ba"])
def test_it_agrees_with_re(pattern, names):
    ours, theirs = Regex(pattern), re.compile(pattern, re.ASCII)
    for name in names:
        assert ours.matches(name) is (theirs.fullmatch(name) is not None), (pattern, name)


@given(st.text("a*b:?[", max_size=8), st.lists(st.text("ab:?[*", max_size=8), min_size=1, max_size=5))
@example("a*a", ["a", "aa", "aba"])
@example("*a*b*", ["ab", "ba", "xaxbx"])
def test_wildcards_agree_with_their_meaning(pattern, names):
    meaning = re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
    for name in names:
        assert Wildcard(pattern).matches(name) is (meaning.fullmatch(name) is not None)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(.*a){20}b", ".*.*.*.*.*.*b", "(a|aa)+b", "(a?){50}a{50}b"]
)
def test_no_pattern_hangs(pattern):
    regex = Regex(pattern)
    assert not regex.matches("a" * 1000), "a backtracking matcher would not come back from here"
    assert regex.matches("a" * 60 + "b")


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("(a", r"a \( without its \)"),
        ("a)", r"a \) without its \("),
        ("*a", "repeats nothing"),
        ("a**", "repeats a repetition"),
        ("a+{2}", "repeats a repetition"),
        ("a{", "begins no repetition"),
        ("a{,3}", "begins no repetition"),
        ("a{x}", "begins no repetition"),
        ("a{²}", "begins no repetition"),
        ("a{3,2}", "at most 256 times"),
        ("a{257}", "at most 256 times"),
        ("(a{200}){200}", "must be simpler"),
        ("((a{9}){9}){9}", "must be simpler"),
        ("(" * 128 + ")" * 128, "must be simpler"),
        ("[a", "ends in the middle"),
        ("a\\", "ends in the middle"),
        ("[b-a]", "ends before it begins"),
        (r"[a-\d]", "ends before it begins"),
        ("[[:alpha:]]", "class of a kind"),
        ("(?i)a", "group of a kind"),
        ("(?=a)", "group of a kind"),
        ("(?P<n>a)", "group of a kind"),
        (r"(a)\1", "escape that is not known"),
        (r"\bx", "escape that is not known"),
        ("a" * 257, "at most 256 characters"),
    ],
)
def test_what_is_no_pattern(pattern, rule):
    with pytest.raises(BadPattern, match=rule):
        Regex(pattern)


@given(st.text(max_size=40), NAMES)
def test_any_text_is_a_pattern_or_a_bad_one(pattern, name):
    try:
        regex = Regex(pattern)
    except BadPattern:
        return
    assert regex.matches(name) in (True, False)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.text("()[]{}*+?|^$\\.-,:a1d", max_size=20), NAMES)
def test_any_mixture_of_signs_too(pattern, name):
    try:
        regex = Regex(pattern)
    except BadPattern:
        return
    try:
        meaning = re.compile(pattern, re.ASCII)
    except re.error:
        return
    assert regex.matches(name) is (meaning.fullmatch(name) is not None)


@pytest.mark.parametrize(
    ("pattern", "does"),
    [
        (r"\$a", True),
        (r"^\$a$", True),
        (r"[$]a", True),
        (r"(\$a|\$b)", True),
        (r"\$a|.*", False),
        (r"\$?a", False),
        (".a", False),
        ("[^a]", False),
        ("a", False),
    ],
)
def test_what_everything_begins_with(pattern, does):
    assert Regex(pattern).begins_with("$") is does


def test_a_wildcard_is_bounded_too():
    with pytest.raises(BadPattern, match="at most 256 characters"):
        Wildcard("a" * 257)


def test_what_is_remembered_is_bounded():
    regex = Regex(".*")
    for number in range(10_000):
        assert regex.matches(chr(0x4E00 + number))
    assert len(regex._steps) <= 4096
