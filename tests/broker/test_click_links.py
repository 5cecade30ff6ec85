"""Links that tell of a click: unforgeable, leading nowhere but where the sender meant (N-29)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.click_links import Click, ClickLinks
from broker.errors import NotFound
from config.click_settings import ClickSettings

SECRET, OTHER = b"s" * 32, b"t" * 32
ID = "0191f3a8-c1de-7b05-a4d2-c9e86f13b720"
LINKS = ClickLinks("https://n.test", (SECRET,))
TARGETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300).map(lambda tail: f"https://shop.test/{tail}")


def token_of(links: ClickLinks, target: str, id: str = ID) -> str:
    address = links.address(id, target)
    assert address.startswith("https://n.test/c/")
    return address.removeprefix("https://n.test/c/")


@given(TARGETS)
def test_a_link_opens_to_what_it_was_made_of(target: str) -> None:
    token = token_of(LINKS, target)
    assert token.isascii()
    assert LINKS.open(token) == Click(ID, target)


@given(TARGETS, st.integers(1, 2000))
def test_a_link_of_a_mail_says_which_it_is(target: str, link: int) -> None:
    token = LINKS.address(ID, target, link).removeprefix("https://n.test/c/")
    assert LINKS.open(token) == Click(ID, target, link)


def test_what_was_signed_before_links_had_numbers_opens() -> None:
    token = "DO1LsfdJsl0K5-gQB6VjKjAxOTFmM2E4LWMxZGUtN2IwNS1hNGQyLWM5ZTg2ZjEzYjcyMABodHRwczovL3Nob3AudGVzdC83"
    assert token_of(LINKS, "https://shop.test/7") == token
    assert LINKS.open(token) == Click(ID, "https://shop.test/7", 0)


def test_what_leads_over_us_already_or_is_too_long_is_left_as_it_is() -> None:
    for target in (LINKS.address(ID, "https://shop.test/7"), "https://shop.test/".ljust(9000, "x")):
        assert LINKS.address(ID, target, 3) == target


@given(st.data())
def test_a_changed_token_opens_nothing(data: st.DataObject) -> None:
    token = token_of(LINKS, "https://shop.test/7")
    at = data.draw(st.integers(0, len(token) - 2))  # the last character holds bits that mean nothing
    other = data.draw(st.sampled_from("AZaz09_-").filter(lambda char: char != token[at]))
    with pytest.raises(NotFound):
        LINKS.open(token[:at] + other + token[at + 1 :])


@given(st.text(max_size=200) | st.text("ABCabc019_-", min_size=24, max_size=200))
def test_whatever_arrives_is_opened_or_refused(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.open(token)


@pytest.mark.parametrize(
    "target",
    ["", "shop://orders/7", "mailto:ann@x.test", "javascript:alert(1)", "//shop.test/7", "https://", "https://[", "/7"],
)
def test_only_addresses_of_the_web_are_led_over_us(target: str) -> None:
    assert LINKS.address(ID, target) == target


def test_only_listed_hosts_where_some_are() -> None:
    links = ClickLinks("https://n.test", (SECRET,), ("Shop.test",))
    assert token_of(links, "https://shop.test/7")
    for target in ("https://other.test/", "https://shop.test.other.test/", "https://shop.test@other.test/"):
        assert links.address(ID, target) == target


def test_a_changed_secret_still_opens_what_the_one_before_signed() -> None:
    token = token_of(LINKS, "https://shop.test/7")
    changed = ClickLinks("https://n.test", (OTHER, SECRET))
    assert changed.open(token).target == "https://shop.test/7"
    assert token_of(changed, "https://shop.test/7") != token
    with pytest.raises(NotFound):
        ClickLinks("https://n.test", (OTHER,)).open(token)


def test_the_longest_link_that_is_taken_opens_again() -> None:
    target = "https://shop.test/".ljust(2048, "ä")
    assert LINKS.open(token_of(LINKS, target)).target == target


def test_they_are_off_by_default() -> None:
    assert ClickLinks.of(ClickSettings()) is None
    on = ClickSettings(enabled=True, public_url="https://n.test/", secret="s" * 32, previous_secret="t" * 32)
    links = ClickLinks.of(on)
    assert links is not None
    assert links.open(token_of(LINKS, "https://shop.test/7")).notification_id == ID


@pytest.mark.parametrize(
    ("given_", "rule"),
    [
        ({"enabled": True}, "needs public_url and secret"),
        ({"enabled": True, "public_url": "https://n.test"}, "needs public_url and secret"),
        ({"enabled": True, "secret": "s" * 32}, "needs public_url and secret"),
        ({"secret": "s" * 31}, "secret must be at least 32 bytes"),
        ({"previous_secret": "s"}, "previous_secret must be at least 32 bytes"),
        ({"public_url": "http://n.test"}, "must be an https address"),
        ({"public_url": "https://n.test/?a=1"}, "must be an https address"),
        ({"public_url": "https://ann@n.test"}, "must be an https address"),
    ],
)
def test_settings_that_do_not_hold_together(given_: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        ClickSettings.model_validate(given_)
