"""Mails as a relay gets them: parsed again, and attacked."""

from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Lane, Notification, Provider
from pushers.outcome import DropMessage
from pushers.payloads.email import compose_email, is_mail_address

ID = "019b76da-a800-7000-8000-00000000000a"
Compose = Callable[..., EmailMessage]


@pytest.fixture(scope="session")
def compose(make_notification: Callable[..., Notification], make_device: Callable[..., Device]) -> Compose:
    def make(*, to: str = "bob@mail.example", sender_name: str = "Shop", **content: Any) -> EmailMessage:
        device = make_device(Provider.EMAIL, to)
        raw = compose_email(make_notification(**content), device, sender="news@shop.example", sender_name=sender_name)
        assert isinstance(raw, bytes)
        assert raw.isascii()
        assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        parsed = message_from_bytes(raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    return make


def parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content().replace("\r\n", "\n"), html.get_content()


def test_headers(compose: Compose) -> None:
    mail = compose(title="Grüße", body="B")
    assert mail["Subject"] == "Grüße"
    assert (mail["From"], mail["To"]) == ("Shop <news@shop.example>", "bob@mail.example")
    assert mail["Message-ID"] == f"<{ID}.device-1@shop.example>"
    assert mail["X-Notification-Id"] == ID
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Date"].datetime.isoformat() == "2026-01-01T00:00:00+00:00"
    assert mail.get_content_type() == "multipart/alternative"


def test_text_and_html_tell_the_same(compose: Compose) -> None:
    text, html = parts(compose(title="Title", body="One\ntwo\n\nThree", link="https://s.example/7?a=1&b=2"))
    assert text == "One\ntwo\n\nThree\n\nhttps://s.example/7?a=1&b=2\n"
    assert "One<br>two</p>" in html
    assert ">Three</p>" in html
    assert 'href="https://s.example/7?a=1&amp;b=2"' in html
    assert "prefers-color-scheme: dark" in html


def test_markup_is_text(compose: Compose) -> None:
    _, html = parts(compose(title="<script>1</script>", body="{{ 7 * 7 }} <b>", image='https://i.example/"onload="x'))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "{{ 7 * 7 }} &lt;b&gt;" in html
    assert 'onload="x"' not in html


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "app://7", "//evil.example", " https://x"])
def test_link_of_another_scheme_is_left_out(compose: Compose, link: str) -> None:
    text, html = parts(compose(title="T", link=link, image=link))
    assert "<a " not in html
    assert "<img" not in html
    assert text == "T\n"


def test_body_stands_in_for_a_missing_title(compose: Compose) -> None:
    mail = compose(body="word " * 100)
    assert mail["Subject"] == ("word " * 40)[:199].rstrip() + "…"
    assert "<h1" not in parts(mail)[1]


@pytest.mark.parametrize("text", ["a\r\nBcc: evil@x.example", "a\nb", "a\x00b", "\u2028x", "a" * 5000])
def test_title_stays_one_header(compose: Compose, text: str) -> None:
    mail = compose(title=text, sender_name=text[:100])
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith(text.strip()[:1])
    assert [address.addr_spec for address in mail["From"].addresses] == ["news@shop.example"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "@mail.example",
        "bob@",
        "bob@mail.example\r\nRCPT TO:<evil@x.example>",
        "bob@mail.example, evil@x.example",
        '"bob" <bob@mail.example>',
        "<bob@mail.example>",
        "bob @mail.example",
        "bob@mail..example",
        ".bob@mail.example",
        "bob.@mail.example",
        "bob@mail.example>",
        "böb@mail.example",
        "bob@mäil.example",
        "bob@[127.0.0.1]",
        "a" * 65 + "@mail.example",
        "bob@" + "m" * 260,
        "bob@mail.example\n",
    ],
)
def test_address_that_is_not_plain_is_dropped(
    make_notification: Callable[..., Notification], make_device: Callable[..., Device], address: str
) -> None:
    device = make_device(Provider.EMAIL, address)
    outcome = compose_email(make_notification(title="T"), device, sender="news@shop.example", sender_name="")
    assert isinstance(outcome, DropMessage)
    assert not is_mail_address(address)


def test_nothing_to_show_is_dropped(make_notification: Callable[..., Notification], make_device: Callable[..., Device]) -> None:
    device = make_device(Provider.EMAIL, "bob@mail.example")
    outcome = compose_email(make_notification(data={"a": 1}), device, sender="news@shop.example", sender_name="")
    assert isinstance(outcome, DropMessage)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_makes_a_mail_to_one_recipient(compose: Compose, title: str, body: str) -> None:
    mail = compose(title=title, body=body)
    assert [address.addr_spec for address in mail["To"].addresses] == ["bob@mail.example"]
    assert len(mail.keys()) == 10
    assert mail.defects == []


def test_one_click_unsubscribes_where_the_message_names_an_address(compose: Compose) -> None:
    mail = compose(title="T", unsubscribe="https://u.example/u?t=a.b-c_d~%20&x=1")  # RFC 8058 §3.1
    assert mail["List-Unsubscribe"] == "<https://u.example/u?t=a.b-c_d~%20&x=1>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    plain = compose(title="T")
    assert (plain["List-Unsubscribe"], plain["List-Unsubscribe-Post"]) == (None, None)


@pytest.mark.parametrize(
    "address",
    [
        "https://u.example/\r\nBcc: evil@x.example",
        "https://u.example/>, <mailto:evil@x.example",
        "https://u.example/\x00",
        "https://u.example/ a",
        "http://u.example/",
        "mailto:out@u.example",
        "https://ü.example/",
    ],
)
def test_address_that_could_be_more_than_one_is_never_sent(  # R23
    make_notification: Callable[..., Notification], make_device: Callable[..., Device], address: str
) -> None:
    device = make_device(Provider.EMAIL, "bob@mail.example")
    notification = make_notification(title="T", unsubscribe=address)
    assert isinstance(compose_email(notification, device, sender="news@shop.example", sender_name=""), DropMessage)


def test_only_what_is_critical_is_marked_so(compose: Compose) -> None:
    assert compose(title="T", lane=Lane.CRITICAL)["X-Priority"] == "1"
    assert compose(title="T", lane=Lane.HIGH)["X-Priority"] is None


def test_html_of_a_template_stands_beside_the_text(compose: Compose) -> None:
    text, html = parts(compose(title="T", body="plain", html="<h2>rich ü</h2>"))
    assert (text, html.strip()) == ("plain\n", "<h2>rich ü</h2>")


def test_the_subtitle_is_what_mailboxes_preview(compose: Compose) -> None:
    _, html = parts(compose(title="T", subtitle="In <short>", body="B"))
    assert "In &lt;short&gt;" in html
