"""Links lead over us where a browser opens them and clicks are tracked, and nowhere else (N-29)."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from broker.click_links import Click, ClickLinks
from broker.notification import Content, Provider
from broker.open_links import OpenLinks
from broker.rendering.html_links import links_of
from broker.rendering.renderer import Renderer
from broker.unsubscribe import UnsubscribeLinks
from pushers.payloads.email import compose_email
from pushers.templates.telling import Telling

CLICKS = ClickLinks("https://n.test", (b"s" * 32,))
LINK = "https://shop.test/7"


@pytest.mark.parametrize("provider", Provider)
async def test_a_link_leads_over_us_in_mails_and_browsers(
    renderer: Renderer, notification: Any, device: Any, provider: Provider
) -> None:
    asked = notification(content=Content(title="Hi", link=LINK))
    told = await Telling(renderer, clicks=CLICKS).to_device(asked, device(provider))
    if provider in (Provider.EMAIL, Provider.WEBPUSH):
        prefix, _, token = told.content.link.rpartition("/")
        assert prefix == "https://n.test/c"
        assert CLICKS.open(token) == Click(asked.id, LINK)
    else:
        assert told.content.link == LINK
    assert (await Telling(renderer).to_device(asked, device(provider))).content.link == LINK


async def test_the_link_of_a_template_does_too(
    renderer: Renderer, notification: Any, device: Any, using: Any, put: Any
) -> None:
    version = await put("en", title="Hi", link="https://shop.test/{{ order }}")
    asked = notification(content=using(version, order="8"))
    told = await Telling(renderer, clicks=CLICKS).to_device(asked, device(Provider.WEBPUSH, locale="en"))
    assert CLICKS.open(told.content.link.rpartition("/")[2]).target == "https://shop.test/8"


async def test_what_cannot_be_told_stays_that(renderer: Renderer, notification: Any, device: Any, using: Any) -> None:
    refused = await Telling(renderer, clicks=CLICKS).to_device(notification(content=using(9)), device(Provider.EMAIL))
    assert refused == await Telling(renderer).to_device(notification(content=using(9)), device(Provider.EMAIL))


MAIL = (
    '<p><a href="https://shop.test/{{ order }}">Order</a> <a href="mailto:a@shop.test">Write</a> <a href="#top">Up</a>'
    '<a href="{{ unsubscribe_url }}">No more</a> <a data-heliograph-untracked href="https://shop.test/as-it-is">Plain</a>'
    '<a href="https://shop.test/terms?a=1&amp;b=2">Terms</a></p>'
)


def hrefs(html: str) -> list[str]:
    return [link.target for link in links_of(html)]


async def test_links_in_the_html_of_a_mail_lead_over_us(
    renderer: Renderer, links: UnsubscribeLinks, notification: Any, device: Any, using: Any, put: Any
) -> None:
    version = await put("en", title="Hi", html=MAIL)
    asked = notification(content=using(version, order="8"))
    mailbox = device(Provider.EMAIL, locale="en")
    plain = (await Telling(renderer, links).to_device(asked, mailbox)).content
    told = (await Telling(renderer, links, CLICKS).to_device(asked, mailbox)).content
    opened = [CLICKS.open(one.rpartition("/")[2]) if one.startswith("https://n.test/c/") else one for one in hrefs(told.html)]
    assert opened == [
        Click(asked.id, "https://shop.test/8", 1),
        plain.unsubscribe,
        "https://shop.test/as-it-is",
        Click(asked.id, "https://shop.test/terms?a=1&b=2", 4),
    ]
    assert 'href="mailto:a@shop.test"' in told.html
    assert 'href="#top"' in told.html
    assert told.body == plain.body, "readers of the text see where they go"
    assert hrefs(plain.html)[0] == "https://shop.test/8"


async def test_only_links_to_hosts_that_are_listed_are_led(
    renderer: Renderer, notification: Any, device: Any, using: Any, put: Any
) -> None:
    clicks = ClickLinks("https://n.test", (b"s" * 32,), ("shop.test",))
    version = await put("en", title="Hi", html='<a href="https://other.test/">1</a><a href="https://shop.test/">2</a>')
    told = await Telling(renderer, clicks=clicks).to_device(notification(content=using(version)), device(Provider.EMAIL))
    first, second = hrefs(told.content.html)
    assert first == "https://other.test/"
    assert clicks.open(second.rpartition("/")[2]).link == 2


async def test_a_long_mail_is_led_as_well(renderer: Renderer, notification: Any, device: Any, using: Any, put: Any) -> None:
    version = await put("en", title="Hi", html='<a href="https://shop.test/">x</a>' + "<p>words</p>" * 1900 + "text " * 5000)
    told = await Telling(renderer, clicks=CLICKS).to_device(notification(content=using(version)), device(Provider.EMAIL))
    assert len(told.content.html) > 32 * 1024
    assert CLICKS.open(hrefs(told.content.html)[0].rpartition("/")[2]).link == 1


@pytest.mark.parametrize("provider", Provider)
async def test_only_mails_have_a_picture_and_only_where_it_is_wanted(
    renderer: Renderer, notification: Any, device: Any, provider: Provider
) -> None:
    opens = OpenLinks("https://n.test", (b"s" * 32,))
    asked = notification(content=Content(title="Hi", body="There"))
    told = (await Telling(renderer, opens=opens).to_device(asked, device(provider))).content
    if provider is Provider.EMAIL:
        assert opens.open(told.pixel.removeprefix("https://n.test/o/")) == asked.id
    else:
        assert told.pixel == ""
    assert (await Telling(renderer, clicks=CLICKS).to_device(asked, device(provider))).content.pixel == ""


@pytest.mark.parametrize(
    ("html", "whole"),
    [
        ("<html><body><p>x</p></body></html>", "<html><body><p>x</p>{}</body></html>"),
        ("<p>x</p><!-- </body> -->", "<p>x</p><!-- </body> -->{}"),
        ("<body>a</body></html><!-- </body> -->", "<body>a{}</body></html><!-- </body> -->"),
    ],
)
def test_the_picture_stands_at_the_end(notification: Any, device: Any, html: str, whole: str) -> None:
    asked = notification(content=Content(title="Hi", html=html, pixel="https://n.test/o/abc"))
    raw = compose_email(asked, device(Provider.EMAIL), sender="a@shop.example", sender_name="")
    assert isinstance(raw, bytes)
    parts = message_from_bytes(raw, policy=default)
    assert isinstance(parts, EmailMessage)
    picture = '<img src="https://n.test/o/abc" alt="" width="1" height="1" style="border:0;">'
    assert parts.get_body(("html",)).get_content().strip() == whole.format(picture)
    assert "n.test" not in parts.get_body(("plain",)).get_content()
