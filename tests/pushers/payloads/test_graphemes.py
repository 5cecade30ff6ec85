"""Clusters of UAX #29 that a cut must leave whole."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pushers.payloads.graphemes import boundaries

WHOLE = {
    "accent": "e\u0301",
    "two accents": "a\u0302\u0323",
    "line break": "\r\n",
    "skin tone": "\U0001f44d\U0001f3fd",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "keycap": "1\ufe0f\u20e3",
    "flag": "\U0001f1e9\U0001f1ea",
    "flag of Scotland": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "hangul jamo": "\u1112\u1161\u11ab",
    "hangul syllable and trailing": "\uac00\u11a8",
    "hangul long leading": "\u1100\u1100\u1161",
    "devanagari vowel": "\u0915\u093f",
    "devanagari conjunct": "\u0915\u094d\u0937",
    "tamil": "\u0ba8\u0bbf",
    "thai": "\u0e01\u0e33\u0e49"[:1] + "\u0e49",
    "arabic number sign": "\u06001",
    "half-width katakana": "\uff76\uff9e",
    "heart": "\u2764\ufe0f",
}


@pytest.mark.parametrize("cluster", WHOLE.values(), ids=WHOLE)
def test_cluster_is_one(cluster: str) -> None:
    assert list(boundaries(cluster)) == [len(cluster)]
    assert next(iter(boundaries(f"x{cluster}"))) == 1
    assert list(boundaries(f"{cluster}x")) == [len(cluster), len(cluster) + 1]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("abc", 3),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 2),
        ("\U0001f1e9\U0001f1ea\U0001f1eb", 2),
        ("\n\u0301", 2),
        ("\ud55c\uad6d\uc5b4", 3),
        ("日本語", 3),
        ("\U0001f600\U0001f601", 2),
        ("\u11a8\uac00", 2),
    ],
)
def test_neighbours_are_apart(text: str, count: int) -> None:
    assert len(list(boundaries(text))) == count


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("".join(WHOLE.values()))))
@example("\u200d\u200d")
def test_boundaries_rise_to_the_end_and_marks_never_start_a_cluster(text: str) -> None:
    ends = list(boundaries(text))
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(text)
    for end in ends[:-1]:
        if unicodedata.category(text[end]) in ("Mn", "Me") or text[end] in "\u200d\ufe0f":
            assert unicodedata.category(text[end - 1]) in ("Cc", "Zl", "Zp")
