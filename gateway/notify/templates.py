"""API methods for templates: kept, read, tried out and looked over."""

import asyncio
import functools
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from broker.errors import BadInput, NotFound
from broker.notification import Content
from broker.rendering.compiled import Rendered, compile_text
from broker.rendering.errors import MissingVariable, TemplateFault
from broker.rendering.lint import NOTHING_SHOWN, Finding, lint
from broker.rendering.renderer import Renderer
from broker.rendering.showing import Show, Showing
from broker.templates import FIELDS, StoredText, TemplateKey, Templates, TemplateText, check_key, check_name
from gateway.api.method import Method
from gateway.notify.template_messages import (
    FindingItem,
    ProviderView,
    TemplateGetRequest,
    TemplateItem,
    TemplateLintRequest,
    TemplateLintResult,
    TemplateListRequest,
    TemplateListResult,
    TemplatePreviewRequest,
    TemplatePreviewResult,
    TemplatePutRequest,
    TemplatePutResult,
    TemplateRemoveRequest,
    TemplateRollbackRequest,
    TemplateVersionItem,
    TemplateVersionResult,
)
from gateway.notify.wording import check_variables

__all__ = ["TemplateService", "template_methods"]

_MAX_PAGE = 1000
_PAGE = 100
_MAX_DECLARED = 1000


class TemplateService:
    """The methods. `show` tells what providers would show; without it a preview lists none."""

    def __init__(self, templates: Templates, renderer: Renderer, show: Show | None = None) -> None:
        self._templates, self._renderer, self._show = templates, renderer, show

    async def put(self, request: TemplatePutRequest) -> TemplatePutResult:
        """Keep a text as the template's next version; what is no template is refused, with field and line."""
        key = check_key(request.name, request.locale, request.route)
        text = _text(request)
        if text == TemplateText():
            raise BadInput("title", "one of title, subtitle, body, html, link and image must not be empty")
        needs = await _needs(text)
        findings = [finding for finding in await _linted(text) if finding.rule != NOTHING_SHOWN]
        version = await self._templates.put(key, text)
        return TemplatePutResult(version, needs, _found(findings))

    async def get(self, request: TemplateGetRequest) -> TemplateItem:
        """Read a text, its newest version or an older one, and list which versions are kept."""
        key = check_key(request.name, request.locale, request.route)
        stored = await self._templates.read(key, _version(request.version))
        assert stored.text is not None
        versions = [
            TemplateVersionItem(one.version, one.created_at.timestamp(), one.text is None)
            for one in await self._templates.versions(key)
        ]
        return _item(stored, await _needs(stored.text), versions)

    async def find(self, request: TemplateListRequest) -> TemplateListResult:
        """List the texts that there are."""
        if request.name:
            check_name(request.name)
        if not 0 <= request.limit <= _MAX_PAGE:
            raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
        size = request.limit or _PAGE
        after = _read_cursor(request.cursor) if request.cursor else None
        # One more than the page holds tells whether another one follows.
        found = await self._templates.find(request.name, after=after, limit=size + 1)
        cursor = _write_cursor(found[size - 1].key) if len(found) > size else ""
        return TemplateListResult([_item(one) for one in found[:size]], cursor)

    async def remove(self, request: TemplateRemoveRequest) -> TemplateVersionResult:
        """Remove texts; what was accepted before is told as it was, and a rollback brings them back."""
        locale = None if isinstance(request.locale, UnsetType) else request.locale
        route = None if isinstance(request.route, UnsetType) else request.route
        key = check_key(request.name, locale or "", route or "")
        meant = {"locale": None if locale is None else key.locale, "route": route}
        return TemplateVersionResult(await self._templates.remove(key.name, **meant))

    async def rollback(self, request: TemplateRollbackRequest) -> TemplateVersionResult:
        """Put an older version of a text again, as the newest."""
        key = check_key(request.name, request.locale, request.route)
        if request.version < 1:
            raise BadInput("version", "must be a version")
        stored = await self._templates.read(key, request.version)
        assert stored.text is not None
        return TemplateVersionResult(await self._templates.put(key, stored.text))

    async def preview(self, request: TemplatePreviewRequest) -> TemplatePreviewResult:
        """Render a template for a language and a route without telling anybody."""
        key = check_key(request.name or "inline", request.locale, request.route)
        variables = check_variables(request.variables, "variables")
        text = _text(request)
        try:
            if not request.name:
                rendered = await self._renderer.try_out(text, variables)
                return self._preview(rendered, key, key.locale, 0)
            if text != TemplateText():
                raise BadInput("name", "must not be given beside texts")
            version = await self._existing(key.name, request.version)
            chosen, rendered = await self._renderer.preview(key.name, version, key.route, key.locale, variables)
        except TemplateFault as exc:
            raise _bad_input(exc) from None
        return self._preview(rendered, key, chosen.locale, version)

    async def lint(self, request: TemplateLintRequest) -> TemplateLintResult:
        """Look texts over: syntax, variables that nobody gives, HTML that is not closed."""
        declared = None if isinstance(request.variables, UnsetType) else request.variables
        if declared is not None and len(declared) > _MAX_DECLARED:
            raise BadInput("variables", f"must not name more than {_MAX_DECLARED}")
        text = _text(request)
        findings = await _linted(text, declared)
        try:
            needs = await _needs(text)
        except BadInput:
            needs = []  # what keeps it from being a template is among the findings
        return TemplateLintResult(_found(findings), needs)

    async def _existing(self, name: str, asked: int) -> int:
        version, newest = _version(asked), await self._templates.newest(name)
        if newest == 0:
            raise NotFound("template")
        if version is not None and version > newest:
            raise NotFound("template in this version")
        return newest if version is None else version

    def _preview(self, rendered: Rendered, key: TemplateKey, locale: str, version: int) -> TemplatePreviewResult:
        content = Content(**{field: getattr(rendered, field) for field in FIELDS})
        views = self._show(content, key.route) if self._show is not None else ()
        texts = {field: getattr(rendered, field) for field in FIELDS}
        return TemplatePreviewResult(locale, version, **texts, providers=[_view(view) for view in views])


def template_methods(service: TemplateService) -> list[Method]:
    """Make the methods of this group."""
    method = functools.partial(Method, is_strict=True, group="Templates")
    return [
        method("template_put", TemplatePutRequest, service.put),
        method("template_get", TemplateGetRequest, service.get),
        method("template_list", TemplateListRequest, service.find),
        method("template_remove", TemplateRemoveRequest, service.remove),
        method("template_rollback", TemplateRollbackRequest, service.rollback),
        method("template_preview", TemplatePreviewRequest, service.preview),
        method("template_lint", TemplateLintRequest, service.lint),
    ]


def _text(request: TemplatePutRequest | TemplatePreviewRequest | TemplateLintRequest) -> TemplateText:
    return TemplateText(**{field: getattr(request, field) for field in FIELDS})


async def _needs(text: TemplateText) -> list[str]:
    """Compile, in a thread; tell the variables that it names."""
    try:
        return sorted((await asyncio.to_thread(compile_text, text)).needs)
    except TemplateFault as exc:
        raise _bad_input(exc) from None


async def _linted(text: TemplateText, declared: Sequence[str] | None = None) -> Sequence[Finding]:
    return await asyncio.to_thread(lint, text, declared)


def _bad_input(fault: TemplateFault) -> BadInput:
    rule = str(fault).removeprefix(f"{fault.field}: ")
    if isinstance(fault, MissingVariable):
        return BadInput(f"variables.{fault.variable}", f"must be given: {fault}")
    return BadInput(fault.field, rule)


def _found(findings: Sequence[Finding]) -> list[FindingItem]:
    return [FindingItem(one.severity, one.field, one.line, one.rule) for one in findings]


def _version(version: int) -> int | None:
    if version < 0:
        raise BadInput("version", "must be a version, or 0 for the newest")
    return version or None


def _item(
    stored: StoredText, variables: list[str] | UnsetType = UNSET, versions: list[TemplateVersionItem] | UnsetType = UNSET
) -> TemplateItem:
    key, text = stored.key, stored.text or TemplateText()
    texts = {field: getattr(text, field) for field in FIELDS}
    at = stored.created_at.timestamp()
    return TemplateItem(key.name, key.locale, key.route, stored.version, at, **texts, variables=variables, versions=versions)


def _view(view: Showing) -> ProviderView:
    return ProviderView(view.provider, view.title, view.body, view.size_bytes, view.limit_bytes, list(view.cuts), view.refusal)


def _write_cursor(key: TemplateKey) -> str:
    return f"{key.name}/{key.locale}/{key.route}"


def _read_cursor(cursor: str) -> TemplateKey:
    parts = cursor.split("/")
    if len(parts) != 3:
        raise BadInput("cursor", "must be the next_cursor of a page")
    try:
        return check_key(*parts)
    except BadInput:
        raise BadInput("cursor", "must be the next_cursor of a page") from None
