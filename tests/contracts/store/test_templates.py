"""Templates on every database, sentence by sentence of the port."""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

import pytest

from broker.errors import BadInput, NotFound
from broker.store import templates as sql
from broker.store.store import Store
from broker.templates import MAX_TEXTS, TemplateKey, TemplateText
from config.clock import ManualClock

KEY = TemplateKey("order.shipped", "de", "email")
TEXT = TemplateText(title="Unterwegs", body="Hallo {{ name }}", html="<p>{{ name }}</p>", link="https://x.test", image="")


async def test_each_put_makes_the_next_version_of_the_name(store: Store, clock: ManualClock) -> None:
    assert await store.templates.newest("order.shipped") == 0
    assert await store.templates.put(KEY, TEXT) == 1
    clock.move(60)
    assert await store.templates.put(TemplateKey("order.shipped"), TemplateText(title="On its way")) == 2
    assert await store.templates.put(TemplateKey("other"), TemplateText(title="Else")) == 1
    assert await store.templates.newest("order.shipped") == 2
    stored = await store.templates.read(KEY)
    assert (stored.key, stored.version, stored.text) == (KEY, 1, TEXT)
    assert stored.created_at.tzinfo is UTC
    assert (await store.templates.read(TemplateKey("order.shipped"))).created_at == clock.now()


async def test_older_versions_stay_readable(store: Store) -> None:
    await store.templates.put(KEY, TEXT)
    await store.templates.put(KEY, TemplateText(title="Neu"))
    assert (await store.templates.read(KEY)).text == TemplateText(title="Neu")
    assert (await store.templates.read(KEY, 1)).text == TEXT
    assert [(one.version, one.text) for one in await store.templates.versions(KEY)] == [
        (2, TemplateText()),
        (1, TemplateText()),
    ]


@pytest.mark.parametrize("version", [None, 7])
async def test_what_is_not_there_is_not_found(store: Store, version: int | None) -> None:
    await store.templates.put(KEY, TEXT)
    with pytest.raises(NotFound):
        await store.templates.read(TemplateKey("order.shipped", "fr"), version)
    with pytest.raises(NotFound):
        await store.templates.read(KEY, 7)
    with pytest.raises(NotFound):
        await store.templates.read(TemplateKey("\0"), version)
    assert await store.templates.newest("\0") == 0
    assert await store.templates.texts("\0", 1) == {}


async def test_a_version_is_a_fixed_set_of_texts(store: Store) -> None:
    english, german = TemplateKey("t", "en"), TemplateKey("t", "de")
    await store.templates.put(english, TemplateText(title="one"))
    await store.templates.put(german, TemplateText(title="eins"))
    await store.templates.put(english, TemplateText(title="two"))
    await store.templates.remove("t", locale="de")

    async def titles(version: int) -> dict[tuple[str, str], str]:
        return {where: one.text.title for where, one in (await store.templates.texts("t", version)).items() if one.text}

    assert await titles(1) == {("en", ""): "one"}
    assert await titles(2) == {("en", ""): "one", ("de", ""): "eins"}
    assert await titles(3) == {("en", ""): "two", ("de", ""): "eins"}
    assert await titles(4) == await titles(99) == {("en", ""): "two"}


async def test_removing_makes_a_version_too_and_is_undone_by_a_put(store: Store) -> None:
    await store.templates.put(KEY, TEXT)
    await store.templates.put(TemplateKey("order.shipped", "de", "push"), TEXT)
    assert await store.templates.remove("order.shipped", locale="de", route="email") == 3
    with pytest.raises(NotFound):
        await store.templates.read(KEY)
    with pytest.raises(NotFound):
        await store.templates.read(KEY, 3)
    assert (await store.templates.read(KEY, 1)).text == TEXT
    assert [one.text is None for one in await store.templates.versions(KEY)] == [True, False]
    assert [one.key.route for one in await store.templates.find(limit=9)] == ["push"]
    assert await store.templates.put(KEY, TEXT) == 4
    assert (await store.templates.read(KEY)).version == 4


async def test_all_texts_of_a_name_go_at_once_and_a_second_time_there_are_none(store: Store) -> None:
    for locale in ("en", "de"):
        await store.templates.put(TemplateKey("t", locale), TEXT)
    await store.templates.put(TemplateKey("u"), TEXT)
    assert await store.templates.remove("t") == 3
    assert [one.key.name for one in await store.templates.find(limit=9)] == ["u"]
    for meant in ({}, {"locale": "en"}, {"route": "push"}):
        with pytest.raises(NotFound):
            await store.templates.remove("t", **meant)
    with pytest.raises(NotFound):
        await store.templates.remove("\0")


async def test_they_are_listed_page_by_page_in_the_order_of_their_keys(store: Store) -> None:
    keys = [TemplateKey(name, locale, route) for name in ("b", "a") for locale in ("de", "") for route in ("push", "")]
    for key in keys:
        await store.templates.put(key, TEXT)
    listed: list[TemplateKey] = []
    while page := await store.templates.find(after=listed[-1] if listed else None, limit=3):
        listed += [one.key for one in page]
        assert all(one.text == TemplateText() for one in page)
    assert listed == sorted(keys)
    assert [one.key.name for one in await store.templates.find("b", limit=99)] == ["b"] * 4
    assert await store.templates.find("none", limit=9) == []


async def test_a_name_has_a_bounded_number_of_texts(store: Store) -> None:
    for number in range(MAX_TEXTS):
        await store.templates.put(TemplateKey("t", f"aa-{number:03}"), TEXT)
    with pytest.raises(BadInput, match="name: has 200 texts already"):
        await store.templates.put(TemplateKey("t", "de"), TEXT)
    await store.templates.put(TemplateKey("t", "aa-001"), TEXT)  # a new version of one that is there
    await store.templates.remove("t", locale="aa-000")
    await store.templates.put(TemplateKey("t", "de"), TEXT)


async def test_a_text_has_a_bounded_number_of_versions(store: Store) -> None:
    kept = sql._KEPT_VERSIONS
    await store.templates.put(TemplateKey("t", "de"), TEXT)
    for _ in range(kept + 5):
        newest = await store.templates.put(TemplateKey("t"), TEXT)
    versions = [one.version for one in await store.templates.versions(TemplateKey("t"))]
    assert versions == list(range(newest, newest - kept, -1))
    assert (await store.templates.read(TemplateKey("t", "de"))).version == 1


async def test_puts_at_the_same_time_make_versions_of_their_own(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    other = await open_another()
    puts = [one.templates.put(TemplateKey("t", locale), TEXT) for one in (store, other) for locale in ("de", "en", "fr")]
    assert sorted(await together(*puts)) == [1, 2, 3, 4, 5, 6]
