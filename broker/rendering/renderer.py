"""Chooses the text that somebody gets, renders it, and remembers: sets of texts by their version, and what came out lately.

A set of texts at a version never changes, so nothing here is ever stale. What takes long is rendered in a thread. Everything
that is remembered is bounded.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from broker.errors import BadInput
from broker.notification import NO_JSON, Collected, Content, TemplateUse
from broker.rendering.collected import Item, headlines, items_of, with_items
from broker.rendering.compiled import CompiledText, Rendered, compile_text
from broker.rendering.errors import MissingVariable, RenderFault, TemplateFault, Unrenderable
from broker.templates import FIELDS, OWN_VARIABLES, StoredText, Templates, TemplateText, canonical_locale, locale_chain
from config.clock import Clock

__all__ = ["Chosen", "Renderer", "choose"]

K = TypeVar("K")
V = TypeVar("V")

# Names at a version, each with up to 200 sources; compiled texts, some ten times as large; and what came out.
_SETS: Final = 64
_COMPILED: Final = 512
_RENDERED: Final = 256
_SHORT_BYTES: Final = 16 * 1024
# So many renderings at once in threads; the others wait, as whoever asked would anyhow.
_THREADS: Final = 2

Texts = Mapping[tuple[str, str], StoredText]


class Chosen(msgspec.Struct, frozen=True):
    """A text with what it was chosen by, and the versions that it is made of: that of the route, and that of all routes."""

    locale: str
    text: TemplateText
    versions: tuple[int, ...]


class Renderer:
    """Renders for everybody in a process."""

    def __init__(self, templates: Templates, clock: Clock, *, default_locale: str) -> None:
        self._templates, self._clock = templates, clock
        self._default_locale = canonical_locale(default_locale)
        self._sets: _Recent[tuple[str, int], Texts] = _Recent(_SETS)
        self._compiled: _Recent[tuple[str, str, str, tuple[int, ...]], CompiledText] = _Recent(_COMPILED)
        self._rendered: _Recent[tuple[Any, ...], Rendered] = _Recent(_RENDERED)
        self._threads: asyncio.Semaphore | None = None

    async def use(
        self,
        name: str,
        variables: bytes,
        routes: Sequence[str],
        *,
        version: int | None = None,
        example: Collected | None = None,
    ) -> TemplateUse:
        """Hold a request to a template: that it is there, and can be told on every route in the default language.

        Args:
            variables: A JSON object, or empty.
            version: Of the name; the newest where None.
            example: What it will tell, where it is that of a digest.
        Returns:
            The template as it stands now, whatever becomes of it.
        Raises:
            BadInput: Naming the part of `template` that is wrong, and the rule.
            StoreUnavailable: Nothing is known.
        """
        newest = await self._templates.newest(name)
        pinned = newest if version is None else version
        texts = await self._texts(name, pinned) if 1 <= pinned <= newest else {}
        if not texts:
            raise BadInput("name" if version is None else "version", "names no template that is there")
        for route in routes:
            chosen = choose(texts, route, self._default_locale)
            if chosen is None:
                language = self._default_locale or "all languages"
                raise BadInput("name", f"has no text for the route {route} in {language}: add one, or name other routes")
            given = variables
            if example is not None:
                items = await self._items(example, route, self._default_locale, "")
                given = with_items(variables, example.count, items)
            try:
                await self._render(name, chosen, route, given, OWN_VARIABLES)
            except MissingVariable as exc:
                raise BadInput(f"variables.{exc.variable}", f"must be given: {exc} on the route {route}") from None
            except RenderFault as exc:
                raise BadInput("variables", f"do not fit: {exc} on the route {route}") from None
        return TemplateUse(name, pinned, msgspec.Raw(variables) if variables else NO_JSON)

    async def render(
        self, content: Content, route: str, locale: str, own: Mapping[str, str] | None = None, *, or_locale: str = ""
    ) -> Content:
        """Put the texts into a content that names a template or tells what was collected; any other stays as it is.

        A text's own subtitle, link and image win over those of the request.

        Args:
            locale: Of whom it is told to; where there is no text for it `or_locale` is tried, then the default language.
            own: Those of `OWN_VARIABLES` that have a value; kept apart in what is remembered only where the text names them.
        Raises:
            Unrenderable: Trying again would not help.
            StoreUnavailable: It would.
        """
        if content.is_worded:
            return content
        variables = b"" if content.template is None else bytes(content.template.variables)
        if (collected := content.collected) is not None:
            content = msgspec.structs.replace(content, collected=None)
            items = await self._items(collected, route, locale, or_locale)
            if content.template is None:
                return msgspec.structs.replace(content, body=headlines(items))
            variables = with_items(variables, collected.count, items)
        use = content.template
        assert use is not None
        texts = await self._texts(use.name, use.version)
        chosen = choose(texts, route, locale, or_locale, self._default_locale)
        if chosen is None:
            raise Unrenderable(
                f"template {use.name} has no text for {locale or or_locale or 'any language'} on the route {route}"
            )
        try:
            rendered = await self._render(use.name, chosen, route, variables, own or OWN_VARIABLES)
        except TemplateFault as exc:
            raise Unrenderable(f"template {use.name} in {chosen.locale or 'all languages'}: {exc}") from None
        return msgspec.structs.replace(
            content,
            title=rendered.title,
            subtitle=rendered.subtitle or content.subtitle,
            body=rendered.body,
            html=rendered.html,
            link=rendered.link or content.link,
            image=rendered.image or content.image,
            template=None,
        )

    async def preview(self, name: str, version: int, route: str, locale: str, variables: bytes) -> tuple[Chosen, Rendered]:
        """Render what somebody with this locale would get.

        Raises:
            BadInput: There is no text for them.
            TemplateFault: Naming field, line and rule.
        """
        chosen = choose(await self._texts(name, version), route, locale, self._default_locale)
        if chosen is None:
            raise BadInput("name", "names no template with a text for this locale and route")
        return chosen, await self._render(name, chosen, route, variables, OWN_VARIABLES)

    async def try_out(self, text: TemplateText, variables: bytes) -> Rendered:
        """Render a text that is not stored.

        Raises:
            TemplateFault: Naming field, line and rule.
        """
        compiled = await asyncio.to_thread(compile_text, text)
        return await self._work_out(compiled, variables, OWN_VARIABLES)

    async def _items(self, collected: Collected, route: str, locale: str, or_locale: str) -> Sequence[Item]:
        async def told(one: Content) -> Content:
            return await self.render(one, route, locale, or_locale=or_locale)

        return await items_of(collected, told)

    async def _texts(self, name: str, version: int) -> Texts:
        texts = self._sets.get((name, version))
        if texts is None:
            texts = await self._templates.texts(name, version)
            self._sets.put((name, version), texts)
        return texts

    async def _render(self, name: str, chosen: Chosen, route: str, variables: bytes, own: Mapping[str, str]) -> Rendered:
        place = (name, chosen.locale, route, chosen.versions)
        compiled = self._compiled.get(place)
        if compiled is None:
            compiled = await asyncio.to_thread(compile_text, chosen.text)
            self._compiled.put(place, compiled)
        named = {variable: value for variable, value in own.items() if variable in compiled.needs}
        key = (*place, variables, *sorted(named.items()))
        rendered = self._rendered.get(key)
        if rendered is None:
            rendered = await self._work_out(compiled, variables, named)
            if len(variables) + sum(len(getattr(rendered, field)) for field in FIELDS) <= _SHORT_BYTES:
                self._rendered.put(key, rendered)
        return rendered

    async def _work_out(self, compiled: CompiledText, variables: bytes, own: Mapping[str, str]) -> Rendered:
        values: dict[str, Any] = {**(msgspec.json.decode(variables) if variables else {}), **own}
        if compiled.is_light:
            return compiled.render(values, self._clock)
        if self._threads is None:
            self._threads = asyncio.Semaphore(_THREADS)
        async with self._threads:
            return await asyncio.to_thread(compiled.render, values, self._clock)


def choose(texts: Texts, route: str, *locales: str) -> Chosen | None:
    """Choose the text for a route in the best of the languages; None where there is none in any.

    A text for the route is laid over the one for all routes in the same language, field by field.
    """
    for locale in locale_chain(*locales):
        parts = [texts[where] for where in ((locale, route), (locale, "")) if where in texts]
        if route == "":
            parts = parts[:1]
        if parts:
            fields = {field: next((value for part in parts if (value := _source(part, field))), "") for field in FIELDS}
            return Chosen(locale, TemplateText(**fields), tuple(part.version for part in parts))
    return None


def _source(part: StoredText, field: str) -> str:
    source: str = getattr(part.text, field) if part.text is not None else ""
    return source


class _Recent(Generic[K, V]):
    """The values that were used last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
