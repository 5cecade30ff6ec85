"""Digests in a reader's words: by a template of their own, or the headlines of what they tell. N-26."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from broker.errors import BadInput
from broker.notification import Collected, CollectedItem, Content, TemplateUse
from broker.rendering.errors import Unrenderable
from broker.rendering.renderer import Renderer
from broker.templates import StoredText, TemplateKey, TemplateText
from config.clock import ManualClock

AT = datetime(2026, 1, 1, tzinfo=UTC)
LISTING = TemplateText(
    title="{{ name }}: {{ count }}",
    body="{% for item in items %}{{ item.title }} ({{ item.data.stars }})\n{% endfor %}",
)
COMMENT = {"": TemplateText(title="{{ who }} wrote"), "de": TemplateText(title="{{ who }} schrieb")}


class Shelf:
    """The port's reading half, in memory."""

    async def newest(self, name: str) -> int:
        return 1

    async def texts(self, name: str, version: int) -> Mapping[tuple[str, str], StoredText]:
        texts = {"": LISTING} if name == "digest" else COMMENT
        return {(locale, ""): StoredText(TemplateKey(name, locale), 1, AT, text) for locale, text in texts.items()}


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(Shelf(), ManualClock(), default_locale="en")  # type: ignore[arg-type]  # (the half that is used)


def use(name: str, /, **variables: Any) -> TemplateUse:
    return TemplateUse(name, 1, msgspec.Raw(msgspec.json.encode(variables)))


def item(title: str = "", /, template: TemplateUse | None = None, **data: Any) -> CollectedItem:
    return CollectedItem("n-1", 0.0, title, data=msgspec.Raw(msgspec.json.encode(data)), template=template)


async def test_a_template_lists_what_was_collected(renderer: Renderer) -> None:
    items = (item("Plain", stars=5), item(template=use("comment", who="Bob"), stars=3))
    content = Content(category="x", template=use("digest", name="Ann"), collected=Collected(7, items))
    told = await renderer.render(content, "push", "de-AT")
    assert (told.title, told.body) == ("Ann: 7", "Plain (5)\nBob schrieb (3)")
    assert told.is_worded
    assert told.category == "x"


@pytest.mark.parametrize(("locale", "verb"), [("de", "schrieb"), ("fr", "wrote")])
async def test_without_a_template_its_headlines_are_told_in_the_reader_s_words(
    renderer: Renderer, locale: str, verb: str
) -> None:
    items = (item(template=use("comment", who="Bob")), *(item(f"Post {number}") for number in range(6)))
    told = await renderer.render(Content(title="7 posts", collected=Collected(7, items)), "push", locale)
    assert (told.title, told.body.splitlines()) == ("7 posts", [f"Bob {verb}", "Post 0", "Post 1", "Post 2", "Post 3"])
    assert told.is_worded


async def test_what_cannot_be_told_is_left_out_and_counted(renderer: Renderer) -> None:
    items = (item(template=use("comment")), item("Plain", stars=1))
    content = Content(template=use("digest", name="Ann"), collected=Collected(2, items))
    told = await renderer.render(content, "push", "en")
    assert (told.title, told.body) == ("Ann: 2", "Plain (1)")


async def test_a_template_that_does_not_fit_is_no_text(renderer: Renderer) -> None:
    content = Content(template=use("digest", name="Ann"), collected=Collected(1, (item("No stars"),)))
    with pytest.raises(Unrenderable, match="'stars'"):
        await renderer.render(content, "push", "en")


@pytest.mark.parametrize(("given", "field"), [({}, "variables.name"), ({"name": "Ann"}, "variables")])
async def test_a_template_is_held_to_an_example(renderer: Renderer, given: dict[str, str], field: str) -> None:
    example = Collected(1, (item("No stars"),))
    with pytest.raises(BadInput) as refused:
        await renderer.use("digest", msgspec.json.encode(given), ["push"], example=example)
    assert refused.value.field == field
    fit = Collected(1, (item("Stars", stars=1),))
    assert (await renderer.use("digest", b'{"name":"Ann"}', ["push"], example=fit)).version == 1
