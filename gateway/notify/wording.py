"""Where the texts of a request come from: templates, pinned as they stand, and the variants of an experiment; and what a list
shows of them."""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from broker.caching.remembered import Remembered
from broker.devices import Devices
from broker.errors import BadInput
from broker.experiments import Experiments
from broker.notification import Collected, CollectedItem, Draft, Notification, Route, TemplateUse, Variant
from broker.preferences import Preferences
from broker.rendering.collected import GIVEN
from broker.rendering.errors import Unrenderable
from broker.rendering.renderer import Renderer
from broker.templates import check_name
from gateway.notify.messages import NotifyRequest
from gateway.notify.template_messages import TemplateUseItem, VariantItem
from gateway.payloads import is_nested_too_deep

__all__ = ["MAX_VARIABLES_BYTES", "Wording", "check_experiment", "check_variables", "has_wording", "names_templates"]

MAX_VARIABLES_BYTES: Final = 16 * 1024
_MAX_VARIANTS: Final = 20
_MAX_WEIGHT: Final = 1_000_000.0
_LIMITS: Final = {"title": 1024, "body": 16384}


def has_wording(request: NotifyRequest) -> bool:
    """Whether the texts are not, or not only, those of the request itself."""
    return request.template is not UNSET or request.variants is not UNSET or bool(request.experiment)


def names_templates(request: NotifyRequest) -> bool:
    """Whether `Wording` has anything to do for a request."""
    return has_wording(request) or (not isinstance(request.digest, UnsetType) and request.digest.template is not UNSET)


class Wording:
    """Holds requests to what templates are there."""

    def __init__(
        self,
        renderer: Renderer,
        devices: Devices,
        *,
        preferences: Preferences | None = None,
        experiments: Experiments | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self._renderer, self._devices = renderer, devices
        self._preferences, self._experiments, self._remembered = preferences, experiments, remembered

    async def pin(self, request: NotifyRequest, draft: Draft) -> Draft:
        """Put templates and variants into a draft.

        Raises:
            BadInput: Naming the field and the rule; among others, that a template is unknown or lacks a variable in the
                default language.
            StoreUnavailable: Nothing is known.
        """
        if has_wording(request):
            draft = await self._pin_own(request, draft)
        if draft.digest is None or isinstance(request.digest, UnsetType):
            return draft
        use = await self._pinned(request.digest.template, draft.routes, "digest.template", _example(draft))
        return msgspec.structs.replace(draft, digest=msgspec.structs.replace(draft.digest, template=use))

    async def _pin_own(self, request: NotifyRequest, draft: Draft) -> Draft:
        if request.title or request.body:
            given = "template" if request.template is not UNSET else "variants"
            raise BadInput(given, "must not be given beside title and body")
        if isinstance(request.variants, UnsetType):
            if request.experiment:
                raise BadInput("experiment", "must not be given without variants")
            use = await self._pinned(request.template, draft.routes, "template")
            return msgspec.structs.replace(draft, content=msgspec.structs.replace(draft.content, template=use))
        if request.template is not UNSET:
            raise BadInput("variants", "must not be given beside template")
        check_experiment(request.experiment)
        _check_variants(request.variants)
        variants = [
            Variant(
                variant.name,
                variant.weight,
                variant.title,
                variant.body,
                await self._pinned(variant.template, draft.routes, f"variants[{index}].template"),
                variant.holdout is True,
            )
            for index, variant in enumerate(request.variants)
        ]
        if (picked := await self._picked(request.experiment, variants)) is not None:
            return msgspec.structs.replace(draft, content=picked.of(draft.content))
        return msgspec.structs.replace(draft, experiment=request.experiment, variants=tuple(variants))

    async def _picked(self, experiment: str, variants: Sequence[Variant]) -> Variant | None:
        """Find the variant that everybody gets: what they do with it then counts no more, so that the comparison stays one."""
        pick = None if self._experiments is None else await self._experiments.pick_of(experiment)
        if pick is None:
            return None
        return next((one for one in variants if one.name == pick.variant and not one.is_holdout), None)

    async def worded(self, user: str, notifications: Sequence[Notification]) -> list[Notification]:
        """Make the texts of what a user's list shows, as they are told live; what cannot be told has none.

        Raises:
            StoreUnavailable: Nothing is known.
        """
        if all(one.content.is_worded for one in notifications):
            return list(notifications)
        own, newest = await self._locales(user)
        return [await self._in(own, newest, one) for one in notifications]

    async def _locales(self, user: str) -> tuple[str, str]:
        """Tell the language that a user chose, and that of their newest device; "" where there is none."""
        if self._remembered is not None:
            devices = await self._remembered.devices.get(user)
            own = (await self._remembered.preferences.get(user)).rules.locale
        else:
            devices = tuple(await self._devices.of_user(user))
            own = "" if self._preferences is None else (await self._preferences.rules_of(user)).locale
        return own, next((one.locale for one in reversed(devices) if one.locale), "")

    async def _in(self, locale: str, or_locale: str, notification: Notification) -> Notification:
        content = notification.content
        try:
            content = await self._renderer.render(content, Route.LIVE, locale, or_locale=or_locale)
        except Unrenderable:
            content = msgspec.structs.replace(content, template=None, collected=None)
        return msgspec.structs.replace(notification, content=content)

    async def _pinned(
        self, item: TemplateUseItem | UnsetType, routes: Sequence[str], path: str, example: Collected | None = None
    ) -> TemplateUse | None:
        if isinstance(item, UnsetType):
            return None
        check_name(item.name, f"{path}.name")
        if item.version < 0:
            raise BadInput(f"{path}.version", "must be a version, or 0 for the newest")
        variables = check_variables(item.variables, f"{path}.variables")
        if example is not None and variables:
            for name in set(GIVEN) & set(msgspec.json.decode(variables, type=dict[str, Any])):
                raise BadInput(f"{path}.variables.{name}", "must not be given: it is what the digest tells")
        try:
            return await self._renderer.use(item.name, variables, routes, version=item.version or None, example=example)
        except BadInput as exc:
            raise BadInput(f"{path}.{exc.field}", exc.rule) from None


def _example(draft: Draft) -> Collected:
    """Let a digest tell what is asked for, alone: a template that cannot tell this one is not fit for it."""
    content = draft.content
    if told := [variant for variant in draft.variants if not variant.is_holdout]:
        content = told[0].of(content)
    item = CollectedItem("", 0.0, content.title, content.body, content.link, content.data, content.template)
    return Collected(1, (item,))


def check_variables(variables: Raw, field: str) -> bytes:
    """Take a JSON object as it is, in one form of writing; nothing or null is an empty one.

    Raises:
        BadInput: Naming the field and the rule.
    """
    text = bytes(variables)
    if text in (b"", b"null"):
        return b""
    if not text.startswith(b"{"):
        raise BadInput(field, "must be a JSON object")
    if len(text) > MAX_VARIABLES_BYTES:
        raise BadInput(field, f"must be at most {MAX_VARIABLES_BYTES} bytes")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise BadInput(field, "must be UTF-8") from None
    if is_nested_too_deep(text):
        raise BadInput(field, "is nested too deep")
    return msgspec.json.format(text, indent=-1)


def check_experiment(experiment: str) -> None:
    """Hold an experiment's name against the rules.

    Raises:
        BadInput: It breaks one.
    """
    if not (0 < len(experiment) <= 128 and experiment.isprintable()):
        raise BadInput("experiment", "must be 1 to 128 printable characters where variants are given")


def _check_variants(variants: Sequence[VariantItem]) -> None:
    if not 2 <= len(variants) <= _MAX_VARIANTS:
        raise BadInput("variants", f"must hold 2 to {_MAX_VARIANTS} variants")
    names = [variant.name for variant in variants]
    for index, variant in enumerate(variants):
        path = f"variants[{index}]"
        if not (0 < len(variant.name) <= 64 and variant.name.isprintable()):
            raise BadInput(f"{path}.name", "must be 1 to 64 printable characters")
        if variant.name in names[:index]:
            raise BadInput(f"{path}.name", "is the name of another variant")
        if not (math.isfinite(variant.weight) and 0 <= variant.weight <= _MAX_WEIGHT):
            raise BadInput(f"{path}.weight", f"must be from 0 to {_MAX_WEIGHT:.0f}")
        for field, limit in _LIMITS.items():
            if len(getattr(variant, field)) > limit:
                raise BadInput(f"{path}.{field}", f"must be at most {limit} characters")
        has_text, has_template = bool(variant.title or variant.body), variant.template is not UNSET
        if variant.holdout is True and (has_text or has_template):
            raise BadInput(f"{path}.holdout", "must not be given beside texts: these users are told nothing")
        if variant.holdout is not True and has_text == has_template:
            raise BadInput(path, "must have title or body, or else a template")
    if not any(variant.weight for variant in variants if variant.holdout is not True):
        raise BadInput("variants", "must have a weight above 0 in one of them")
