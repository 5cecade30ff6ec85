"""Notifications in the words of one reader: language, version, and what becomes of those that cannot be told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.errors import StoreUnavailable
from broker.notification import Content, Lane, Outcome, Provider, Route, State
from broker.rendering.errors import Unrenderable
from broker.rendering.renderer import Renderer
from broker.unsubscribe import OptOut
from pushers.outcome import DropMessage, Retry
from pushers.templates.telling import Telling

GERMAN = {"title": "Hallo {{ name }}", "body": "Unterwegs"}
ENGLISH = {"title": "Hello {{ name }}", "body": "On its way", "link": "https://x.test/{{ name }}"}


@pytest.fixture
async def version(put: Callable[..., Any]) -> int:
    await put("en", **ENGLISH)
    await put("de", **GERMAN)
    return await put("de", "email", html="<p>Hallo {{ name }}, <a href='{{ unsubscribe_url }}'>ab</a></p>")


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("de", "Hallo Ann"),
        ("de-AT", "Hallo Ann"),
        ("de_CH.UTF-8", "Hallo Ann"),
        ("en-GB", "Hello Ann"),
        ("fr", "Hello Ann"),
        ("", "Hello Ann"),
        ("nonsense!", "Hello Ann"),
    ],
)
async def test_a_device_is_told_in_its_language_or_the_default(
    telling: Telling, using: Any, notification: Any, device: Any, version: int, locale: str, title: str
) -> None:
    told = await telling.to_device(notification(content=using(version, name="Ann")), device(Provider.FCM, locale=locale))
    assert told.content.title == title
    assert told.content.template is None
    assert told.content.category == "news"


@pytest.mark.parametrize(
    ("wanted", "own", "title"),
    [("de", "en", "Hallo Ann"), ("de-AT", "", "Hallo Ann"), ("fr", "de", "Hallo Ann"), ("fr", "es", "Hello Ann")],
)
async def test_the_language_that_a_user_asked_for_goes_before_the_device_s(
    telling: Telling, using: Any, notification: Any, device: Any, version: int, wanted: str, own: str, title: str
) -> None:
    asked = notification(content=using(version, name="Ann"))
    assert (await telling.to_device(asked, device(locale=own), locale=wanted)).content.title == title
    assert (await telling.to_user(asked, [device(locale=own)], locale=wanted)).content.title == title


async def test_a_text_s_own_link_wins_over_that_of_the_request(
    telling: Telling, using: Any, notification: Any, device: Any, version: int
) -> None:
    asked = notification(content=using(version, name="Ann"))
    assert (await telling.to_device(asked, device(locale="en"))).content.link == "https://x.test/Ann"
    assert (await telling.to_device(asked, device(locale="de"))).content.link == "https://x.test/own"


async def test_a_route_s_text_lies_over_that_for_all_routes(
    telling: Telling, using: Any, notification: Any, device: Any, version: int
) -> None:
    asked = notification(content=using(version, name="Ann"))
    mail = (await telling.to_device(asked, device(Provider.EMAIL, locale="de"))).content
    assert (mail.title, mail.body) == ("Hallo Ann", "Unterwegs")
    assert f'<a href="{mail.unsubscribe}">ab</a>' in mail.html
    push = (await telling.to_device(asked, device(Provider.APNS, locale="de"))).content
    assert (push.html, push.unsubscribe) == ("", "")


async def test_what_was_pinned_is_told_whatever_became_of_the_template(
    telling: Telling, using: Any, notification: Any, device: Any, version: int, put: Any, store: Any
) -> None:
    asked = notification(content=using(version, name="Ann"))
    assert (await telling.to_device(asked, device(locale="en"))).content.body == "On its way"
    changed = await put("en", title="New", body="Changed")
    removed = await store.templates.remove("t")
    fresh = Telling(Renderer(store.templates, telling._renderer._clock, default_locale="en"))
    assert (await fresh.to_device(asked, device(locale="en"))).content.body == "On its way"
    assert (await fresh.to_device(notification(content=using(changed)), device(locale="en"))).content.title == "New"
    gone = await fresh.to_device(notification(content=using(removed)), device(locale="en"))
    assert gone == DropMessage("template t has no text for en on the route push")


async def test_what_cannot_be_rendered_is_dropped_with_its_reason(
    telling: Telling, using: Any, notification: Any, device: Any, version: int
) -> None:
    dropped = await telling.to_device(notification(content=using(version)), device(locale="de"))
    assert dropped == DropMessage("template t in de: title: needs the variable 'name' (line 1)")


async def test_a_store_that_is_away_delays(telling: Telling, using: Any, notification: Any, device: Any, store: Any) -> None:
    class Away:
        async def texts(self, name: str, version: int) -> Any:
            raise StoreUnavailable("the store did not answer", retry_after_s=2.0)

    away = Telling(Renderer(Away(), telling._renderer._clock, default_locale="en"))  # type: ignore[arg-type]
    asked = notification(content=using(1))
    assert await away.to_device(asked, device()) == Retry("the store did not answer", 2.0, is_failure=False)
    with pytest.raises(StoreUnavailable):
        await away.to_user(asked, ())


async def test_connections_are_told_in_the_language_of_the_newest_device_that_names_one(
    telling: Telling, using: Any, notification: Any, device: Any, version: int
) -> None:
    asked = notification(content=using(version, name="Ann"))
    devices = [device(id="a", locale="fr"), device(id="b", locale="de"), device(id="c")]
    assert (await telling.to_user(asked, devices)).content.title == "Hallo Ann"
    assert (await telling.to_user(asked, ())).content.title == "Hello Ann"
    with pytest.raises(Unrenderable, match="needs the variable 'name'"):
        await telling.to_user(notification(content=using(version)), devices)


async def test_texts_of_the_request_pass_untouched(telling: Telling, notification: Any, device: Any) -> None:
    own = notification(content=Content(title="{{ name }}", body="{% for x in y %}"))
    assert await telling.to_device(own, device()) is own
    assert await telling.to_user(own, ()) is own


async def test_a_mail_names_the_way_out_of_its_category(telling: Telling, notification: Any, device: Any, links: Any) -> None:
    mailbox = device(Provider.EMAIL)
    told = await telling.to_device(notification(content=Content(title="A", category="news")), mailbox)
    assert links.open(told.content.unsubscribe.rpartition("/")[2]) == OptOut("ann", "news", "email")
    told = await telling.to_device(notification(content=Content(title="A")), mailbox)
    assert links.open(told.content.unsubscribe.rpartition("/")[2]) == OptOut("ann", "*", "email")


async def test_a_critical_mail_names_none_and_neither_does_anything_without_settings(
    telling: Telling, renderer: Renderer, notification: Any, device: Any
) -> None:
    mailbox = device(Provider.EMAIL)
    critical = notification(lane=Lane.CRITICAL)
    assert await telling.to_device(critical, mailbox) is critical
    plain = notification()
    assert await Telling(renderer).to_device(plain, mailbox) is plain


async def test_a_category_that_is_required_is_no_list_to_be_left(
    renderer: Renderer, links: Any, notification: Any, device: Any
) -> None:
    telling = Telling(renderer, links, required=frozenset({"security"}))
    required, other = (notification(content=Content(title="A", category=name)) for name in ("security", "news"))
    assert await telling.to_device(required, device(Provider.EMAIL)) is required
    assert (await telling.to_device(other, device(Provider.EMAIL))).content.unsubscribe


async def test_the_pipeline_tells_what_it_can_and_refuses_the_rest(
    rig: Any, telling: Telling, using: Any, device: Any, version: int
) -> None:
    rig.ledger.register(device(Provider.FCM, id="d1", locale="de"))
    sent: list[Any] = []

    class Keeping(type(rig.providers[Provider.FCM])):  # type: ignore[misc]
        async def send(self, notification: Any, device: Any, *, now: Any) -> Any:
            sent.append(notification.content)
            return await super().send(notification, device, now=now)

    rig.providers[Provider.FCM] = Keeping(Provider.FCM, rig.clock)
    await rig.connect()
    await rig.start(telling=telling)
    good = rig.ledger.add(content=using(version, name="Ann"))
    bad = rig.ledger.add(content=using(version))

    async def done(notification: Any) -> None:
        while rig.state(notification) is State.PENDING:
            await rig.advance(6)
            await asyncio.sleep(0.001)  # the store answers from a thread

    async with asyncio.timeout(30):
        await done(good)
        await done(bad)
    assert [entry["title"] for _, entry in rig.published] == ["Hallo Ann"]
    assert [content.title for content in sent] == ["Hallo Ann"]
    assert rig.state(good) is State.EXHAUSTED
    assert rig.state(bad) is State.FAILED
    refused = [entry for entry in rig.ledger.entries[bad.id] if entry.outcome is Outcome.REFUSED]
    assert [(entry.route, entry.detail) for entry in refused] == [
        (Route.LIVE, "template t in de: title: needs the variable 'name' (line 1)"),
        (Route.PUSH, "template t in de: title: needs the variable 'name' (line 1)"),
    ]
