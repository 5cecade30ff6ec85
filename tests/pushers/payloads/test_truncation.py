"""The truncation rule: fits, stays valid, and cuts nothing that it must not."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pushers.payloads.graphemes import boundaries
from pushers.payloads.truncation import BODY_KEEPS, TITLE_KEEPS, Fitted, Shown, fit

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n👨‍👩‍👧🇩🇪é'), max_size=1500)


def size_bytes(shown: Shown) -> int:
    return len(msgspec.json.encode(shown))


def test_what_fits_is_left_alone() -> None:
    shown = Shown("title", "body", "https://i.example/1.png")
    assert fit(shown, size_bytes, 4096) == Fitted(shown)


def test_exactly_the_limit_fits() -> None:
    shown = Shown("title", "b" * 500, "")
    assert fit(shown, size_bytes, size_bytes(shown)) == Fitted(shown)


def test_large_image_goes_first() -> None:
    shown = Shown("title", "b" * 700, "https://i.example/" + "i" * 300)
    fitted = fit(shown, size_bytes, 1000)
    assert fitted == Fitted(Shown("title", "b" * 700, ""), ("image -318 bytes",))


def test_small_image_stays_and_the_body_is_cut_no_more_than_needed() -> None:
    shown = Shown("title", "b" * 2000, "https://i.example/1.png")
    fitted = fit(shown, size_bytes, 1000)
    assert fitted is not None
    assert fitted.shown.image == shown.image
    assert size_bytes(fitted.shown) == 1000
    assert fitted.shown.body == "b" * (len(fitted.shown.body) - 1) + "…"
    assert fitted.cuts == (f"body -{2000 - len(fitted.shown.body.encode())} bytes",)


def test_title_is_cut_after_the_body() -> None:
    fitted = fit(Shown("t" * 500, "b" * 500, ""), size_bytes, 400)
    assert fitted is not None
    assert fitted.shown.body == "b" * BODY_KEEPS + "…"
    assert len(fitted.shown.title) > TITLE_KEEPS
    assert size_bytes(fitted.shown) == 400


def test_too_large_even_so() -> None:
    assert fit(Shown("t" * 500, "b" * 500, ""), size_bytes, 150) is None


def test_short_texts_are_never_cut() -> None:
    assert fit(Shown("t" * TITLE_KEEPS, "b" * BODY_KEEPS, ""), size_bytes, 100) is None


def test_ellipsis_is_not_worth_one_character() -> None:
    assert fit(Shown("", "b" * (BODY_KEEPS + 1), ""), size_bytes, size_bytes(Shown("", "b" * (BODY_KEEPS + 1), "")) - 1) is None


def test_one_endless_character_cannot_be_cut() -> None:
    assert fit(Shown("", "e" + "\u0301" * 5000, ""), size_bytes, 1000) is None


@pytest.mark.parametrize("char", ['"', "\\", "\x01", "é", "日", "\U0001f600", "\U0001f1e9\U0001f1ea", "e\u0301"])
def test_every_kind_of_character_fills_the_limit(char: str) -> None:
    fitted = fit(Shown("t", char * 4000, ""), size_bytes, 1000)
    assert fitted is not None
    kept = fitted.shown.body.removesuffix("…")
    weight = size_bytes(Shown("", char, "")) - size_bytes(Shown("", "", ""))
    assert kept == char * (len(kept) // len(char))
    assert 1000 - weight < size_bytes(fitted.shown) <= 1000


@given(texts, texts, st.text("abc/:.", max_size=600), st.integers(60, 3000))
@example("", "\u0301" * 100, "", 100)
@example("x" * 100, " " * 200, "", 200)
def test_what_comes_out_fits_and_is_whole(title: str, body: str, image: str, limit_bytes: int) -> None:
    shown = Shown(title, body, image)
    fitted = fit(shown, size_bytes, limit_bytes)
    if fitted is None:
        return
    assert size_bytes(fitted.shown) <= limit_bytes
    assert msgspec.json.decode(msgspec.json.encode(fitted.shown), type=Shown) == fitted.shown
    assert fitted.shown.image in ("", image)
    assert bool(fitted.cuts) == (fitted.shown != shown)
    for before, after, keeps in ((title, fitted.shown.title, TITLE_KEEPS), (body, fitted.shown.body, BODY_KEEPS)):
        if after == before:
            continue
        kept = after.removesuffix("…")
        ends = list(boundaries(before))
        assert after.endswith("…")
        assert before.startswith(kept)
        # The cut lies on a boundary, but for blanks that were dropped before the ellipsis; and enough is left.
        end = next(end for end in ends if end >= len(kept) and not before[len(kept) : end].strip())
        assert ends.index(end) + 1 >= keeps or before[: ends[keeps - 1]].rstrip() == kept
