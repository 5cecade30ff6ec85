"""R23: whatever a variable holds, it is text on every route: never a template, a header, markup or a line of its own."""

import asyncio
import json
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.notification import Content, Device, Lane, Notification, Provider, Route, TemplateUse
from broker.rendering.renderer import Renderer
from broker.templates import StoredText, TemplateKey, TemplateText
from config.clock import ManualClock
from pushers.live import encode
from pushers.payloads.apns import compose_apns
from pushers.payloads.email import compose_email
from pushers.payloads.fcm import compose_fcm
from pushers.payloads.sms import SmsText, compose_sms
from pushers.payloads.webhook import compose_hook
from pushers.payloads.webpush import compose_webpush

ID = "019b76da-a800-7000-8000-00000000000a"
CLOCK = ManualClock()
TEXT = TemplateText(
    title="T {{ x }}",
    body="B {{ x }}{% for y in [x] %}|{{ y }}{% endfor %}",
    html='<p title="{{ x }}">{{ x }}</p>',
)
HOSTILE = [
    "{{ 7 * 7 }}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{{ ''.__class__.__mro__ }}",
    "{# gone #}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></head></body></html>",
    "<!-- --><style>*{display:none}</style>",
    "&lt;b&gt; &amp;",
    "a\r\nBcc: all@victim.example",
    "a\nSubject: other\n\nbody",
    "a\r\n.\r\nQUIT\r\n",
    "=?utf-8?q?=0d=0aBcc=3a_x?=",
    "\u2028\u2029\x85\x0b\x0c",
    '"}},"aps":{"alert":"other"}',
    "\\u0022\\n",
    "\x00\x1b[31m",
    "\u202eevil",
    "--=_" + ID,
]
ANYTHING = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


class _Shelf:
    async def texts(self, name: str, version: int) -> Any:
        return {("", ""): StoredText(TemplateKey(name), version, CLOCK.now(), TEXT)}


RENDERER = Renderer(_Shelf(), CLOCK, default_locale="en")  # type: ignore[arg-type]  # (the half that is used)


@pytest.fixture(scope="session")
def told() -> Callable[[str, str], Notification]:
    """Make a notification of the template with a value, as it is told on a route."""

    def make(value: str, route: str) -> Notification:
        use = TemplateUse("t", 1, msgspec.Raw(msgspec.json.encode({"x": value})))
        content = asyncio.run(RENDERER.render(Content(template=use), route, "en"))
        now = CLOCK.now()
        return Notification(ID, "ann", content, Lane.NORMAL, (Route.PUSH,), 0, 0, now, now.replace(year=2027))

    return make


def device(provider: Provider, token: str) -> Device:
    return Device("d", "ann", provider, token, "", CLOCK.now())


def expected(value: str) -> tuple[str, str]:
    return f"T {value}".strip(), f"B {value}|{value}".strip()


@given(ANYTHING)
@settings(deadline=None)
def test_apps_and_browsers_show_it_as_it_is(told: Any, value: str) -> None:
    notification = told(value, "push")
    shown = expected(value)
    apns = compose_apns(notification, device(Provider.APNS, "0" * 64), topic="a", now=CLOCK.now())
    alert = json.loads(apns.body)["aps"]["alert"]
    assert (alert["title"], alert["body"]) == shown
    fcm = json.loads(compose_fcm(notification, device(Provider.FCM, "x"), now=CLOCK.now()).body)["message"]["notification"]
    assert (fcm["title"], fcm["body"]) == shown
    webpush = json.loads(compose_webpush(notification, now=CLOCK.now()).plaintext)
    assert (webpush["title"], webpush["options"]["body"]) == shown
    for headers in (apns.headers, compose_webpush(notification, now=CLOCK.now()).headers):
        assert all(char.isprintable() for text in headers.values() for char in text)


@given(ANYTHING)
@settings(deadline=None)
def test_connections_get_it_in_one_line(told: Any, value: str) -> None:
    line = encode(told(value, "live"))
    assert b"\n" not in line
    assert b"\r" not in line
    shown = json.loads(line)["notification"]
    assert (shown["title"], shown["body"]) == expected(value)


@given(ANYTHING)
@settings(deadline=None)
def test_text_messages_and_webhooks_carry_it_as_text(told: Any, value: str) -> None:
    phone = compose_sms(told(value, "sms"), max_parts=10)
    assert isinstance(phone, SmsText)
    assert all(char.isprintable() or char in "\n\u200d" for char in phone.text)
    assert phone.text.startswith("T")
    hook = json.loads(compose_hook(told(value, "webhook"), device(Provider.WEBHOOK, "crm")))
    assert (hook["title"], hook["body"]) == expected(value)


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "p":
            assert [name for name, _ in attrs] == ["title"]
            self.titles.append(attrs[0][1] or "")


@given(ANYTHING)
@settings(deadline=None)
def test_a_mail_has_no_header_part_or_element_of_its_making(told: Any, value: str) -> None:
    notification = told(value, "email")
    raw = compose_email(notification, device(Provider.EMAIL, "bob@mail.example"), sender="a@shop.example", sender_name="Shop")
    assert isinstance(raw, bytes)
    head, _, _ = raw.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert len(names) == len(set(names))
    assert b"Bcc" not in names
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    plain = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    # The transport's own line ends aside, the text is what it is.
    assert plain.get_payload(decode=True).decode().strip() == notification.content.body  # type: ignore[union-attr]
    seen = _Seen()
    seen.feed(html.get_content())
    assert seen.tags == ["html", "head", "meta", "body", "p"]
    assert len(seen.titles) == 1
    # U+0000 has no place in HTML: parsers put a mark in its stead.
    assert seen.titles[0].split() == value.replace("\0", "\ufffd").split()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_known_attack_comes_out_as_it_went_in(told: Any, value: str) -> None:
    assert told(value, "push").content.title == f"T {value}".strip()
    html = told(value, "email").content.html
    assert "<script" not in html
    assert "<img" not in html
