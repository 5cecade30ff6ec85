"""Links lead over us where a browser opens them and clicks are tracked, and nowhere else (N-29)."""

from typing import Any

import pytest

from broker.click_links import Click, ClickLinks
from broker.notification import Content, Provider
from broker.rendering.renderer import Renderer
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
