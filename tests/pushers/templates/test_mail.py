"""Mails of templates: their HTML, what they say as text, and the way out of them (RFC 8058)."""

from collections.abc import Callable
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.notification import Content, Provider
from broker.unsubscribe import OptOut, UnsubscribeLinks
from pushers.outcome import DropMessage
from pushers.payloads.email import _encoded, _from_line, compose_email

ID = "019b76da-a800-7000-8000-00000000000a"


@pytest.fixture
def mail(notification: Any, device: Any) -> Callable[..., EmailMessage]:
    def made(**content: Any) -> EmailMessage:
        mailbox = device(Provider.EMAIL)
        raw = compose_email(
            notification(id=ID, content=Content(**content)), mailbox, sender="a@shop.example", sender_name="Shop"
        )
        assert isinstance(raw, bytes)
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        parsed = message_from_bytes(raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    return made


def test_the_html_of_a_template_is_the_html_part(mail: Any) -> None:
    made = mail(title="T", body="As text", html="<!doctype html><p style='color:red'>Grüße</p>")
    assert made.get_body(("plain",)).get_content().strip() == "As text"
    assert made.get_body(("html",)).get_content().strip() == "<!doctype html><p style='color:red'>Grüße</p>"
    assert [part.get_content_type() for part in made.iter_parts()] == ["text/plain", "text/html"]


def test_html_alone_is_something_to_show(mail: Any, notification: Any, device: Any) -> None:
    assert mail(html="<p>x</p>")["Subject"] is not None
    empty = compose_email(notification(content=Content()), device(Provider.EMAIL), sender="a@b.c", sender_name="")
    assert isinstance(empty, DropMessage)


def test_one_click_takes_somebody_off(mail: Any, links: UnsubscribeLinks) -> None:
    address = links.address(OptOut("ann", "news", "email"))
    made = mail(title="T", unsubscribe=address)
    assert made["List-Unsubscribe"] == f"<{address}>"
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_without_a_link_there_is_no_header(mail: Any) -> None:
    made = mail(title="T")
    assert made["List-Unsubscribe"] is None
    assert made["List-Unsubscribe-Post"] is None


def test_a_link_longer_than_a_line_may_be_is_left_out(mail: Any, links: UnsubscribeLinks) -> None:
    address = links.address(OptOut("\U0001f600" * 255, "news", "email"))
    assert len(address) > 1000
    assert mail(title="T", unsubscribe=address)["List-Unsubscribe"] is None


@pytest.mark.parametrize(
    "title",
    [
        "=?utf-8?q?=0d=0aBcc=3a_x?=",
        "a =?utf-8?b?DQpCY2M6IHg=?= b",
        "=?x",
        "Grüße =?utf-8?q?=0a?=",
        "\U0001f600" * 60,
        "é" * 200,
    ],
)
def test_a_title_that_reads_as_encoded_is_no_header_of_its_own(mail: Any, title: str) -> None:
    """R23: the library would decode such words and write what is in them, line ends included."""
    made = mail(title=title)
    assert made["Subject"] == title
    assert made["Bcc"] is None
    assert made.get_content_type() == "multipart/alternative"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250))
@settings(deadline=None)
def test_any_title_is_one_header_line(title: str) -> None:
    raw = _encoded(title)
    assert raw.isascii()
    assert all(len(line) <= 75 for line in raw.split("\r\n "))
    assert str(make_header(decode_header(raw))) == title


def test_a_sender_s_name_is_encoded_as_well() -> None:
    assert (
        str(make_header(decode_header(_from_line("a@b.c", "Grüße =?utf-8?q?=0a?=")))) == "From: Grüße =?utf-8?q?=0a?= <a@b.c>"
    )
