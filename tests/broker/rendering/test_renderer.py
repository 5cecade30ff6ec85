"""Which text somebody gets, that it is worked out once, and that nothing is remembered without bound."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from broker.errors import BadInput
from broker.notification import Content, TemplateUse
from broker.rendering import renderer as module
from broker.rendering.renderer import Renderer, choose
from broker.templates import StoredText, TemplateKey, TemplateText
from config.clock import ManualClock

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Shelf:
    """The port's reading half, in memory; counts what it is asked."""

    def __init__(self, **texts: TemplateText) -> None:
        self.stored = {key: [text] for key, text in texts.items()}
        self.asked = 0

    async def newest(self, name: str) -> int:
        return len(self.stored.get(name, ()))

    async def texts(self, name: str, version: int) -> Mapping[tuple[str, str], StoredText]:
        self.asked += 1
        await asyncio.sleep(0)
        text = self.stored[name][version - 1]
        return {("en", ""): StoredText(TemplateKey(name, "en"), version, AT, text)}


def use(name: str = "t", /, version: int = 1, **variables: Any) -> Content:
    return Content(template=TemplateUse(name, version, msgspec.Raw(msgspec.json.encode(variables))))


def make(shelf: Shelf) -> Renderer:
    return Renderer(shelf, ManualClock(), default_locale="en")  # type: ignore[arg-type]  # (the half that is used)


def texts(*places: tuple[str, str]) -> dict[tuple[str, str], StoredText]:
    """Texts whose titles name their place."""
    return {
        (locale, route): StoredText(
            TemplateKey("t", locale, route), number, AT, TemplateText(title=f"{locale}/{route}", body="" if route else "b")
        )
        for number, (locale, route) in enumerate(places, 1)
    }


@pytest.mark.parametrize(
    ("places", "route", "locales", "title", "versions"),
    [
        ([("en", ""), ("de", "")], "push", ("de-AT", "en"), "de/", (2,)),
        ([("en", ""), ("de-AT", ""), ("de", "")], "push", ("de-AT", "en"), "de-AT/", (2,)),
        ([("en", ""), ("de", "push")], "push", ("de", "en"), "de/push", (2,)),
        ([("en", ""), ("de", "push")], "email", ("de", "en"), "en/", (1,)),
        ([("", "")], "email", ("de", "en"), "/", (1,)),
        ([("", ""), ("en", "push")], "push", ("de", "en"), "en/push", (2,)),
        ([("de", ""), ("de", "push")], "push", ("de", "en"), "de/push", (2, 1)),
        ([("de", ""), ("de", "push")], "", ("de", "en"), "de/", (1,)),
    ],
)
def test_the_language_is_chosen_first_then_the_route(places: Any, route: str, locales: Any, title: str, versions: Any) -> None:
    chosen = choose(texts(*places), route, *locales)
    assert chosen is not None
    assert (chosen.text.title, chosen.versions) == (title, versions)


def test_a_route_s_text_leaves_to_the_other_what_it_has_not() -> None:
    chosen = choose(texts(("de", ""), ("de", "push")), "push", "de")
    assert chosen is not None
    assert (chosen.text.title, chosen.text.body) == ("de/push", "b")


def test_where_there_is_none_none_is_made_up() -> None:
    assert choose(texts(("de", "push")), "email", "de", "en") is None
    assert choose(texts(("fr", "")), "email", "de", "en") is None
    assert choose({}, "", "") is None


async def test_a_set_is_read_once_and_a_rendering_made_once() -> None:
    shelf = Shelf(t=TemplateText(title="Hello {{ name }}"))
    renderer = make(shelf)
    first = await renderer.render(use(name="Ann"), "push", "de")
    second = await renderer.render(use(name="Ann"), "push", "en")
    assert first.title == second.title == "Hello Ann"
    assert shelf.asked == 1
    assert first.title is second.title
    assert (await renderer.render(use(name="Bob"), "push", "en")).title == "Hello Bob"


async def test_what_is_ours_to_give_is_kept_apart_only_where_it_is_named() -> None:
    renderer = make(Shelf(t=TemplateText(title="x"), u=TemplateText(title="{{ unsubscribe_url }}")))
    one, two = {"unsubscribe_url": "https://x/1"}, {"unsubscribe_url": "https://x/2"}
    same = [await renderer.render(use("t"), "email", "en", own) for own in (one, two)]
    assert same[0].title is same[1].title
    assert [(await renderer.render(use("u"), "email", "en", own)).title for own in (one, two)] == ["https://x/1", "https://x/2"]
    assert (await renderer.render(use("u"), "push", "en")).title == ""


async def test_a_request_cannot_give_what_is_ours() -> None:
    renderer = make(Shelf(u=TemplateText(title="{{ unsubscribe_url }}")))
    told = await renderer.render(use("u", unsubscribe_url="https://evil"), "email", "en", {"unsubscribe_url": "https://x/1"})
    assert told.title == "https://x/1"


async def test_each_version_is_a_text_of_its_own() -> None:
    shelf = Shelf(t=TemplateText(title="one"))
    renderer = make(shelf)
    shelf.stored["t"].append(TemplateText(title="two"))
    assert [(await renderer.render(use(version=number), "push", "en")).title for number in (1, 2, 1)] == ["one", "two", "one"]


async def test_what_is_remembered_is_bounded() -> None:
    shelf = Shelf(**{f"t{number}": TemplateText(title="{{ n }}") for number in range(module._COMPILED + 10)})
    renderer = make(shelf)
    for number in range(module._COMPILED + 10):
        await renderer.render(use(f"t{number}", n=number), "push", "en")
    assert len(renderer._sets._values) == module._SETS
    assert len(renderer._compiled._values) == module._COMPILED
    assert len(renderer._rendered._values) == module._RENDERED


async def test_long_texts_are_not_remembered() -> None:
    renderer = make(Shelf(t=TemplateText(title="{{ n * 20000 }}")))
    assert len((await renderer.render(use(n="x"), "push", "en")).title) == 20_000
    assert len(renderer._rendered._values) == 0


async def test_heavy_ones_leave_the_loop_to_others() -> None:
    renderer = make(Shelf(t=TemplateText(body="{% for a in range(20) %}{% for b in range(600) %}.{% endfor %}{% endfor %}")))
    turns = 0
    rendering = asyncio.ensure_future(renderer.render(use(), "push", "en"))
    while not rendering.done():
        turns += 1
        await asyncio.sleep(0)
    assert len((await rendering).body) == 12_000
    assert turns > 3


async def test_a_content_without_a_template_passes() -> None:
    own = Content(title="{{ x }}")
    assert await make(Shelf()).render(own, "push", "en") is own


async def test_a_use_is_held_to_every_route_it_names() -> None:
    renderer = make(Shelf(t=TemplateText(title="{{ name }}")))
    used = await renderer.use("t", b'{"name":"Ann"}', ["live", "email"])
    assert (used.name, used.version, bytes(used.variables)) == ("t", 1, b'{"name":"Ann"}')
    with pytest.raises(
        BadInput, match=r"variables.name: must be given: title: needs the variable 'name' \(line 1\) on the route"
    ):
        await renderer.use("t", b"", ["live"])
    for version in (0, 2):
        with pytest.raises(BadInput, match="version: names no template"):
            await renderer.use("t", b"", ["live"], version=version)
    with pytest.raises(BadInput, match="name: names no template"):
        await renderer.use("other", b"", ["live"])
