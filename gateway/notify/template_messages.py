"""Requests and results of the methods for templates and experiments."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

__all__ = [
    "ExperimentPickRequest",
    "ExperimentPickResult",
    "ExperimentResultsRequest",
    "ExperimentResultsResult",
    "FindingItem",
    "LeadItem",
    "ProviderView",
    "TemplateGetRequest",
    "TemplateItem",
    "TemplateLintRequest",
    "TemplateLintResult",
    "TemplateListRequest",
    "TemplateListResult",
    "TemplatePreviewRequest",
    "TemplatePreviewResult",
    "TemplatePutRequest",
    "TemplatePutResult",
    "TemplateRemoveRequest",
    "TemplateRollbackRequest",
    "TemplateUseItem",
    "TemplateVersionItem",
    "TemplateVersionResult",
    "VariantItem",
    "VariantResultItem",
]

_Name = Annotated[str, Meta(description="Name of the template, such as `order.shipped`.", extra={"is_required": True})]
_Locale = Annotated[str, Meta(description="Language, such as `de` or `pt-BR`; empty for all.")]
_Route = Annotated[str, Meta(description="`live`, `push`, `email`, `sms` or `webhook`; empty for all.")]
_Variables = Annotated[Raw, Meta(description="JSON object with what the template needs, up to 16 KiB.")]
_Version = Annotated[int, Meta(description="Version of the name; 0 for the newest.")]
_Title = Annotated[str, Meta(description="Template of the title; a mail's subject.")]
_Subtitle = Annotated[str, Meta(description="Template of a second headline, where there is room for one.")]
_Body = Annotated[str, Meta(description="Template of the text; a mail's text part, made from `html` if left out.")]
_Html = Annotated[str, Meta(description="Template of a mail's HTML part, in which variables are escaped.")]
_Link = Annotated[str, Meta(description="Template of what opens when it is tapped.")]
_Image = Annotated[str, Meta(description="Template of an https address of a picture.")]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    pass


class TemplateUseItem(_Request):
    """Whose texts are told, in the language of each device. The version that is there now is the one that is told."""

    name: _Name = ""
    variables: _Variables = Raw()
    version: _Version = 0


class VariantItem(_Request):
    """One of the wordings that are compared: texts, or a template; or a control group, which is told nothing."""

    name: Annotated[str, Meta(description="Name of the variant.")]
    weight: Annotated[float, Meta(description="How many get it, as compared with the other variants' weights.")] = 1.0
    title: Annotated[str, Meta(description="Headline.")] = ""
    body: Annotated[str, Meta(description="Text below the headline.")] = ""
    template: Annotated[TemplateUseItem | UnsetType, Meta(description="Texts from a template instead.")] = UNSET
    holdout: Annotated[
        bool | UnsetType, Meta(description="Tell these users nothing: what they do shows what happens anyhow.")
    ] = UNSET


class TemplatePutRequest(_Request):
    """A text for a language and a route; one for a route lies over that for all routes, field by field."""

    name: _Name = ""
    locale: _Locale = ""
    route: _Route = ""
    title: _Title = ""
    subtitle: _Subtitle = ""
    body: _Body = ""
    html: _Html = ""
    link: _Link = ""
    image: _Image = ""


class FindingItem(msgspec.Struct):
    """Something that is wrong (`error`) or doubtful (`warning`); `line` counts from 1, 0 where there is none."""

    severity: str
    field: str
    line: int
    rule: str


class TemplatePutResult(msgspec.Struct):
    """The version that it is now, the variables that it names, and what is doubtful about it."""

    version: int
    variables: list[str]
    findings: list[FindingItem]


class TemplateGetRequest(_Request):
    """Asks for one text."""

    name: _Name = ""
    locale: _Locale = ""
    route: _Route = ""
    version: _Version = 0


class TemplateVersionItem(msgspec.Struct, omit_defaults=True):
    """One version of a text; `created_at` in Unix seconds, `removed` where it is the one that took the text away."""

    version: int
    created_at: float
    removed: bool = False


class TemplateItem(msgspec.Struct, omit_defaults=True):
    """A text. In lists the sources are left out."""

    name: str
    locale: str
    route: str
    version: int
    created_at: float
    title: str = ""
    subtitle: str = ""
    body: str = ""
    html: str = ""
    link: str = ""
    image: str = ""
    variables: list[str] | UnsetType = UNSET
    versions: list[TemplateVersionItem] | UnsetType = UNSET


class TemplateListRequest(_Request):
    """Asks for the texts that there are, page by page."""

    name: Annotated[str, Meta(description="Only of this template.")] = ""
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="Most texts on a page, up to 1000; 0 means 100.")] = 0


class TemplateListResult(msgspec.Struct, omit_defaults=True):
    """Texts by name, language and route; `next_cursor` is there where more follow."""

    items: list[TemplateItem]
    next_cursor: str = ""


class TemplateRemoveRequest(_Request):
    """Removes one text, or those of a language or a route, or all of a name; what was accepted before is still told."""

    name: _Name = ""
    locale: Annotated[str | UnsetType, Meta(description="Language; every one if left out.")] = UNSET
    route: Annotated[str | UnsetType, Meta(description="Route; every one if left out.")] = UNSET


class TemplateRollbackRequest(_Request):
    """Makes an older version of a text the newest one."""

    version: Annotated[int, Meta(description="The version to go back to.")]
    name: _Name = ""
    locale: _Locale = ""
    route: _Route = ""


class TemplateVersionResult(msgspec.Struct):
    """The version that the name is at now."""

    version: int


class TemplatePreviewRequest(_Request):
    """Renders a stored template, by `name`, or the texts that are given."""

    name: Annotated[str, Meta(description="Name of a stored template.")] = ""
    version: _Version = 0
    locale: _Locale = ""
    route: _Route = ""
    variables: _Variables = Raw()
    title: _Title = ""
    subtitle: _Subtitle = ""
    body: _Body = ""
    html: _Html = ""
    link: _Link = ""
    image: _Image = ""


class ProviderView(msgspec.Struct, omit_defaults=True):
    """What one provider would show; `limit_bytes` is left out where it has none, `refusal` says why it would show nothing."""

    provider: str
    title: str = ""
    body: str = ""
    size_bytes: int = 0
    limit_bytes: int = 0
    cuts: list[str] = []
    refusal: str = ""


class TemplatePreviewResult(msgspec.Struct):
    """The texts as they would be told, in the language that was found, and what each provider would show of them."""

    locale: str
    version: int
    title: str
    subtitle: str
    body: str
    html: str
    link: str
    image: str
    providers: list[ProviderView]


class TemplateLintRequest(_Request):
    """Looks texts over that need not be stored."""

    title: _Title = ""
    subtitle: _Subtitle = ""
    body: _Body = ""
    html: _Html = ""
    link: _Link = ""
    image: _Image = ""
    variables: Annotated[
        list[str] | UnsetType, Meta(description="Every variable that will be given; others are errors, unused ones warnings.")
    ] = UNSET


class TemplateLintResult(msgspec.Struct):
    """What was found, and the variables that the texts name."""

    findings: list[FindingItem]
    variables: list[str]


class ExperimentResultsRequest(_Request):
    """Asks what an experiment came to."""

    key: Annotated[str, Meta(description="The `experiment` of the requests to notify.")]


class VariantResultItem(msgspec.Struct):
    """One variant: for how many it was meant, to how many it was told, how many acknowledged; and the share of `acknowledged`
    in `sent`, which lies between `low` and `high` at 95 % confidence (Wilson's interval)."""

    variant: str
    total: int
    sent: int
    acknowledged: int
    share: float
    low: float
    high: float
    control: bool | UnsetType = UNSET


class LeadItem(msgspec.Struct):
    """The variant that is ahead, and how likely such a lead over the others is by chance alone: the two-proportion test,
    corrected for how many it is compared with."""

    variant: str
    p_value: float


class ExperimentResultsResult(msgspec.Struct):
    """Variants by name, which one is ahead, and which one was picked."""

    variants: list[VariantResultItem]
    leader: LeadItem | UnsetType = UNSET
    picked: str | UnsetType = UNSET


class ExperimentPickRequest(_Request):
    """Says which variant everybody gets from now on, or when that is to be found out; exactly one of `variant` and `after`."""

    experiment: Annotated[str, Meta(description="The `experiment` of the requests to notify.")]
    variant: Annotated[str | UnsetType, Meta(description="Name of the variant; empty lets all be told again.")] = UNSET
    after: Annotated[int | UnsetType, Meta(description="Pick the one that is ahead once each was told to so many users.")] = (
        UNSET
    )
    confidence: Annotated[
        float | UnsetType, Meta(description="How certain that must be then, by the two-proportion test; 0.95 if left out.")
    ] = UNSET


class ExperimentPickResult(msgspec.Struct):
    """What is told from now on; empty while all variants are."""

    picked: str
