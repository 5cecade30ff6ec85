"""Text messages: alphabets, parts and cuts."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Notification
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.graphemes import boundaries
from pushers.payloads.sms import SmsText, compose_sms, count_parts

Compose = Callable[..., SmsText]
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.fixture(scope="session")
def compose(make_notification: Callable[..., Notification]) -> Compose:
    def make(*, max_parts: int = 2, **content: Any) -> SmsText:
        text = compose_sms(make_notification(**content), max_parts=max_parts)
        assert isinstance(text, SmsText)
        return text

    return make


@pytest.mark.parametrize(
    ("text", "alphabet", "parts"),
    [
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("a" * 306, "gsm7", 2),
        ("a" * 307, "gsm7", 3),
        ("€" * 80, "gsm7", 1),  # two places each
        ("€" * 81, "gsm7", 2),
        ("a" + "€" * 152, "gsm7", 2),  # 1 + 76 pairs, then 76 pairs
        ("€" * 153, "gsm7", 3),  # no pair over the end of a part: 76 in each
        ("ä" * 160, "gsm7", 1),
        ("я" * 70, "ucs2", 1),
        ("я" * 71, "ucs2", 2),
        ("я" * 134, "ucs2", 2),
        ("я" * 135, "ucs2", 3),
        ("😀" * 35, "ucs2", 1),
        ("😀" * 36, "ucs2", 2),
        ("😀" * 67, "ucs2", 3),  # 33 whole ones in each part
        ("", "gsm7", 1),
    ],
)
def test_parts_are_counted_as_they_are_charged(text: str, alphabet: str, parts: int) -> None:
    assert count_parts(text) == (alphabet, parts)


def test_title_body_and_link_in_lines(compose: Compose) -> None:
    text = compose(title="Order 7", body="It has left.", link="https://s.example/7")
    assert text == SmsText("Order 7\nIt has left.\nhttps://s.example/7", "gsm7", 1)


def test_quotes_and_dashes_are_plainer_where_that_saves_the_cheaper_alphabet(compose: Compose) -> None:
    assert compose(body="“It’s here” – now…").text == '"It\'s here" - now...'
    assert compose(body="“Привет”").text == "“Привет”"


@pytest.mark.parametrize("link", ["app://7", "javascript:alert(1)", "/7"])
def test_link_that_no_phone_opens_is_left_out(compose: Compose, link: str) -> None:
    assert compose(title="T", link=link).text == "T"


def test_control_characters_become_blanks(compose: Compose) -> None:
    assert compose(title="a\x00b\r\x1bc").text == "a b  c"


def test_long_text_is_cut_before_the_link(compose: Compose) -> None:
    text = compose(title="T", body="b" * 1000, link="https://s.example/7")
    assert text.text == "T\n" + "b" * (306 - 2 - 3 - 20) + "...\nhttps://s.example/7"
    assert (text.alphabet, text.parts, text.cuts) == ("gsm7", 2, ("text -719 characters",))


def test_no_character_is_broken(compose: Compose) -> None:
    text = compose(body=FAMILY * 100, max_parts=1)
    assert text.text == FAMILY * 8 + "…"
    assert (text.alphabet, text.parts) == ("ucs2", 1)


def test_cut_that_leaves_the_dearer_alphabet_behind_keeps_more(compose: Compose) -> None:
    assert compose(body="a" * 150 + "я" * 100, max_parts=1).text == "a" * 150 + "..."


def test_link_that_leaves_no_room_is_too_large(make_notification: Callable[..., Notification]) -> None:
    notification = make_notification(title="T", link="https://s.example/" + "x" * 300)
    assert compose_sms(notification, max_parts=1) == TooLarge(140)


@pytest.mark.parametrize("content", [{"data": {"a": 1}}, {"title": " ", "body": "\n"}])
def test_nothing_to_show_is_dropped(make_notification: Callable[..., Notification], content: dict[str, Any]) -> None:
    assert isinstance(compose_sms(make_notification(**content), max_parts=2), DropMessage)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    st.text("ab €ä😀я\u0301\u200d\U0001f468", max_size=400),
    st.integers(1, 4),
)
def test_whatever_is_composed_fits_and_ends_at_a_character(compose: Compose, title: str, body: str, most: int) -> None:
    text = compose(title=f"x{title}", body=body, max_parts=most)
    assert count_parts(text.text) == (text.alphabet, text.parts)
    assert text.parts <= most
    if text.cuts:
        kept = text.text.removesuffix("…").removesuffix("...")
        assert len(kept) in {0, *boundaries(text.text)}
