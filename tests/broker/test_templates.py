"""Names, locales and routes of templates: what is taken, and in which order languages are looked under."""

import pytest

from broker.errors import BadInput
from broker.templates import TemplateKey, canonical_locale, check_key, locale_chain


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("pt-BR", "pt-BR"),
        ("pt_br.UTF-8", "pt-BR"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("sr_RS@latin", "sr-RS"),
        ("es-419", "es-419"),
        (" en ", "en"),
        ("", ""),
        ("C", ""),
        ("de-", ""),
        ("not a locale", ""),
        ("{{ x }}", ""),
        ("de\nen", ""),
    ],
)
def test_a_locale_has_one_form(written: str, canonical: str) -> None:
    assert canonical_locale(written) == canonical


@pytest.mark.parametrize(
    ("wanted", "chain"),
    [
        (("pt-BR", "en"), ("pt-BR", "pt", "en", "")),
        (("zh_Hans_CN", "zh"), ("zh-Hans-CN", "zh-Hans", "zh", "")),
        (("", "en"), ("en", "")),
        (("nonsense!", ""), ("",)),
        (("en-GB", "en-US"), ("en-GB", "en", "en-US", "")),
    ],
)
def test_the_device_s_language_is_looked_under_first_then_its_kind_then_the_default(
    wanted: tuple[str, ...], chain: tuple[str, ...]
) -> None:
    assert locale_chain(*wanted) == chain


def test_a_key_is_made_of_what_a_request_says() -> None:
    assert check_key("order.shipped-2_x", "pt_br", "email") == TemplateKey("order.shipped-2_x", "pt-BR", "email")
    assert check_key("a", "", "") == TemplateKey("a")


@pytest.mark.parametrize(
    ("name", "locale", "route", "field"),
    [
        ("", "", "", "name"),
        ("a b", "", "", "name"),
        (".a", "", "", "name"),
        ("a" * 129, "", "", "name"),
        ("a/b", "", "", "name"),
        ("a\n", "", "", "name"),
        ("a", "german!", "", "locale"),
        ("a", "de", "pigeon", "route"),
    ],
)
def test_what_breaks_a_rule_is_named(name: str, locale: str, route: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_key(name, locale, route)
    assert refused.value.field == field
