"""The address of a mail's picture: it names a notification and nobody, and none is made by others (N-29)."""

import base64

import pytest

from broker.click_links import ClickLinks
from broker.errors import NotFound
from broker.open_links import OpenLinks
from config.click_settings import OpenSettings

SECRET, OTHER = b"s" * 32, b"t" * 32
ID = "0191f3a8-c1de-7b05-a4d2-c9e86f13b720"
LINKS = OpenLinks("https://n.test", (SECRET,))


def test_it_names_the_notification_and_nothing_else() -> None:
    token = LINKS.address(ID).removeprefix("https://n.test/o/")
    assert LINKS.open(token) == ID
    named = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert named[16:].decode() == ID


@pytest.mark.parametrize("token", ["", "x" * 60, "%00" * 20, "ä" * 40])
def test_whatever_arrives_is_opened_or_refused(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.open(token)


def test_a_click_is_no_open_and_the_other_way_round() -> None:
    clicks = ClickLinks("https://n.test", (SECRET,))
    with pytest.raises(NotFound):
        LINKS.open(clicks.address(ID, "https://x.test/").rpartition("/")[2])
    with pytest.raises(NotFound):
        clicks.open(LINKS.address(ID).rpartition("/")[2])


def test_a_changed_secret_still_opens_what_the_one_before_signed() -> None:
    token = LINKS.address(ID).rpartition("/")[2]
    assert OpenLinks("https://n.test", (OTHER, SECRET)).open(token) == ID
    with pytest.raises(NotFound):
        OpenLinks("https://n.test", (OTHER,)).open(token)


def test_they_are_off_by_default() -> None:
    assert OpenLinks.of(OpenSettings()) is None
    on = OpenSettings(enabled=True, public_url="https://n.test/", secret="s" * 32)  # type: ignore[arg-type]  # (validated)
    links = OpenLinks.of(on)
    assert links is not None
    assert links.address(ID) == LINKS.address(ID)
