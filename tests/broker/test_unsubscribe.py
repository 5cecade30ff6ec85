"""Links that take somebody off a list: sealed, unforgeable, telling nothing (N-23)."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.errors import NotFound
from broker.unsubscribe import OptOut, UnsubscribeLinks
from config.content_settings import UnsubscribeSettings

SECRET, OTHER = "s" * 32, "t" * 32
LINKS = UnsubscribeLinks("https://x.test", SECRET.encode())
ANN = OptOut("ann@example.org", "marketing", "email")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)


@given(TEXTS, TEXTS, TEXTS)
@settings(deadline=None)
def test_a_link_opens_to_what_it_was_made_of_and_is_always_the_same(user: str, category: str, route: str) -> None:
    opt_out = OptOut(user, category, route)
    token = LINKS.token(opt_out)
    assert LINKS.open(token) == opt_out
    assert token == LINKS.token(opt_out)
    assert LINKS.address(opt_out) == f"https://x.test/unsubscribe/{token}"
    assert token.isascii()
    assert len(token) <= 4096


def test_without_a_category_all_are_meant() -> None:
    assert LINKS.open(LINKS.token(OptOut("ann", "", "email"))) == OptOut("ann", "*", "email")


def test_a_link_tells_nothing_of_anybody() -> None:
    token = LINKS.token(ANN)
    seen = token.encode() + base64.urlsafe_b64decode(token + "==")
    for word in (b"ann", b"example", b"marketing", b"email"):
        assert word not in seen


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
@settings(deadline=None)
def test_a_changed_link_opens_nothing(place: int, char: str) -> None:
    token = LINKS.token(ANN)
    place %= len(token)
    changed = token[:place] + char + token[place + 1 :]
    try:
        assert LINKS.open(changed) == ANN  # the last character has bits that say nothing
    except NotFound:
        return
    assert changed == token or place == len(token) - 1


@pytest.mark.parametrize("token", ["", "a", "a" * 23, "a" * 4097, "../../etc", "ä" * 30, "a" * 30 + "\n", "a" * 25])
def test_what_is_no_link_opens_nothing(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.open(token)


def test_another_secret_opens_nothing_unless_it_is_named_as_the_previous_one() -> None:
    token = LINKS.token(ANN)
    with pytest.raises(NotFound):
        UnsubscribeLinks("https://x.test", OTHER.encode()).open(token)
    rotated = UnsubscribeSettings(public_url="https://x.test/", secret=OTHER, previous_secret=SECRET)
    changed = UnsubscribeLinks.of(rotated)
    assert changed is not None
    assert changed.open(token) == ANN
    assert changed.token(ANN) != token
    assert changed.address(ANN).startswith("https://x.test/unsubscribe/")


def test_nothing_is_made_where_nothing_is_set() -> None:
    assert UnsubscribeLinks.of(UnsubscribeSettings()) is None


@pytest.mark.parametrize(
    ("given_settings", "rule"),
    [
        ({"public_url": "https://x.test"}, "go together"),
        ({"secret": SECRET}, "go together"),
        ({"public_url": "https://x.test", "secret": "short"}, "secret must be at least 32 bytes"),
        ({"public_url": "https://x.test", "secret": SECRET, "previous_secret": "short"}, "previous_secret must be"),
        ({"public_url": "http://x.test", "secret": SECRET}, "https"),
        ({"public_url": "https://x.test/?a=1", "secret": SECRET}, "https"),
        ({"public_url": "https://u:p@x.test", "secret": SECRET}, "https"),
        ({"public_url": "https://x.test/\r\nBcc:a", "secret": SECRET}, "https"),
        ({"public_url": "https://x.test:99999", "secret": SECRET}, "https"),
    ],
)
def test_settings_that_make_no_links_are_refused(given_settings: dict[str, str], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        UnsubscribeSettings(**given_settings)


def test_plain_http_is_for_this_machine_alone() -> None:
    assert UnsubscribeSettings(public_url="http://127.0.0.1:8000", secret=SECRET).is_configured
