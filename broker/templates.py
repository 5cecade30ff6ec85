"""Port: texts of notifications that are kept apart from the requests that use them, per language and per route.

A template is a name with several texts, each for a locale and a route; the empty locale serves every language, the empty route
every way. Each put makes a new version of the *name*, a whole number that rises by one. So a name at a version is a fixed set
of texts, the newest of each (locale, route) up to there: a notification that holds name and version says the same however the
template changes after it. Removing makes a version too, one without the text, so that what was accepted before is still told.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from broker.errors import BadInput

__all__ = [
    "FIELDS",
    "MAX_SOURCE_BYTES",
    "MAX_TEXTS",
    "OWN_VARIABLES",
    "TEMPLATE_ROUTES",
    "StoredText",
    "TemplateKey",
    "TemplateText",
    "Templates",
    "canonical_locale",
    "check_key",
    "check_locale",
    "check_name",
    "locale_chain",
]

MAX_SOURCE_BYTES: Final = 64 * 1024
# Texts of one name; a set of them is held in memory when it is rendered.
MAX_TEXTS: Final = 200
# What templates may name beside the variables of a request, and what it is where nobody says: here, no way out of a mail.
OWN_VARIABLES: Final[Mapping[str, str]] = {"unsubscribe_url": ""}
TEMPLATE_ROUTES: Final = ("", "live", "push", "email", "sms", "webhook")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,7}")


class TemplateKey(msgspec.Struct, frozen=True, order=True):
    """Whose text it is: the locale is canonical or empty, the route one of `TEMPLATE_ROUTES`."""

    name: str
    locale: str = ""
    route: str = ""


class TemplateText(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sources of one text, each of its own language of templates; what is empty is left to whoever stands in for it."""

    title: str = ""
    subtitle: str = ""
    body: str = ""
    html: str = ""
    link: str = ""
    image: str = ""


FIELDS: Final = TemplateText.__struct_fields__


class StoredText(msgspec.Struct, frozen=True):
    """One version of one text. Without a text it is the version that removed it."""

    key: TemplateKey
    version: int
    created_at: datetime
    text: TemplateText | None


class Templates(Protocol):
    """The texts, each version of them kept. Methods raise `StoreUnavailable` when the store does not answer."""

    async def put(self, key: TemplateKey, text: TemplateText) -> int:
        """Store a text as the name's next version, and tell that.

        Of older versions of the same text the newest hundred are kept.

        Raises:
            BadInput: Naming `name`, when it has `MAX_TEXTS` texts already.
        """

    async def remove(self, name: str, *, locale: str | None = None, route: str | None = None) -> int:
        """Make a version without the texts that are meant, of any locale or route where None; tell it.

        Raises:
            NotFound: There is no such text.
        """

    async def read(self, key: TemplateKey, version: int | None = None) -> StoredText:
        """Read the newest version of a text, or a certain one.

        Raises:
            NotFound: There is no such text, or not in this version, or the version asked for removed it.
        """

    async def versions(self, key: TemplateKey) -> Sequence[StoredText]:
        """List what is kept of a text, newest first, without the sources: those that are there have an empty text."""

    async def find(self, name: str = "", *, after: TemplateKey | None = None, limit: int) -> Sequence[StoredText]:
        """List the newest version of texts that are there, of one name or of all, in the order of their keys, without the
        sources; at most `limit`, beginning behind `after`."""

    async def newest(self, name: str) -> int:
        """Tell the newest version of a name; 0 where there never was one."""

    async def texts(self, name: str, version: int) -> Mapping[tuple[str, str], StoredText]:
        """Read a name at a version, by locale and route; removed texts are left out."""


def check_name(name: str, field: str = "name") -> str:
    """Hold a template's name against the rules.

    Raises:
        BadInput: Naming the field.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(field, "must be 1 to 128 letters, digits and _.- and begin with a letter or digit")
    return name


def check_key(name: str, locale: str, route: str) -> TemplateKey:
    """Make a key of what a request says.

    Raises:
        BadInput: Naming the field and the rule.
    """
    if route not in TEMPLATE_ROUTES:
        known = ", ".join(word for word in TEMPLATE_ROUTES if word)
        raise BadInput("route", f"must be one of {known}, or empty for all")
    canonical = canonical_locale(locale)
    if locale and not canonical:
        raise BadInput("locale", 'must be a language such as "de" or "pt-BR", or empty for all')
    return TemplateKey(check_name(name), canonical, route)


def check_locale(locale: str) -> str:
    """Give a locale back in its canonical form.

    Raises:
        BadInput: It is none.
    """
    if len(locale) > 35 or not (canonical := canonical_locale(locale)):
        raise BadInput("locale", 'must be a language such as "de" or "pt-BR"')
    return canonical


def canonical_locale(locale: str) -> str:
    """Write a locale in the one form that is compared (RFC 5646 §2.1.1): `pt_br.UTF-8` is `pt-BR`; empty where it is none."""
    plain = re.split(r"[.@]", locale.strip(), maxsplit=1)[0].replace("_", "-")
    if not _LOCALE.fullmatch(plain):
        return ""
    first, *rest = plain.split("-")
    return "-".join([first.lower(), *(_subtag(part) for part in rest)])


def _subtag(part: str) -> str:
    if len(part) == 2:
        return part.upper()
    return part.title() if len(part) == 4 and part.isalpha() else part.lower()


def locale_chain(*wanted: str) -> tuple[str, ...]:
    """List the locales to look under, best first: each one wanted, then what it is a kind of, then the next; at the end the
    empty one, which serves every language."""
    chain: dict[str, None] = {}
    for locale in wanted:
        parts = canonical_locale(locale).split("-")
        chain |= {"-".join(parts[:length]): None for length in range(len(parts), 0, -1) if parts[0]}
    return (*chain, "")
