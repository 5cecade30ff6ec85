"""`heliograph template`: templates as files, looked over and tried out without a server, and put into one.

A file is TOML: the template's name, the variables that requests will give, and its texts, each for a locale and a route. HTML
may stand in a file beside it.

    name = "order.shipped"
    variables = ["name", "order"]

    [[texts]]
    locale = "en"
    title = "Order {{ order }} is on its way"
    body = "Dear {{ name }}, it arrives tomorrow."

    [[texts]]
    locale = "en"
    route = "email"
    html_file = "order.shipped.en.html"
"""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from broker.errors import BadInput
from broker.notification import Content
from broker.rendering.compiled import Rendered, compile_text
from broker.rendering.errors import TemplateFault
from broker.rendering.lint import NOTHING_SHOWN, lint
from broker.rendering.renderer import choose
from broker.rendering.showing import Showing
from broker.templates import FIELDS, OWN_VARIABLES, StoredText, TemplateKey, TemplateText, check_key
from config.clock import SystemClock
from config.errors import SettingsError
from heliograph.commands.api_call import api_options, call_api, configured_key
from heliograph.groups import RichCommand, RichGroup
from pushers.templates.showing import show

__all__ = ["TemplateFile", "read_template_file", "template"]

_MOST_BYTES: Final = 16 * 1024 * 1024
_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


class TemplateFile(msgspec.Struct, frozen=True):
    """What a file says: texts by their keys, and the variables that it declares, if it does."""

    name: str
    variables: tuple[str, ...] | None
    texts: dict[TemplateKey, TemplateText]


@click.group(cls=RichGroup)
def template() -> None:
    """Look templates over, try them out, and put them into a server."""


@template.command("lint", cls=RichCommand)
@_FILES
def lint_files(files: tuple[Path, ...]) -> int:
    """Look files over: syntax, variables that are not declared, HTML that is not closed. Errors end with code 2."""
    errors = 0
    for file in files:
        read = read_template_file(file)
        # A variable may be used by one text and not by another: only what none uses is told.
        unused = set(read.variables or ())
        for key, text in read.texts.items():
            for finding in lint(text, read.variables):
                # What one for a route leaves out, that for all routes may have.
                if finding.field == "variables" or (key.route and finding.rule == NOTHING_SHOWN):
                    continue
                errors += finding.severity == "error"
                place = f"{finding.field}:{finding.line}" if finding.line else finding.field
                click.echo(f"{file}: {_place(key)}{place}: {finding.severity}: {finding.rule}")
            unused -= _needs(text)
        for name in sorted(unused):
            click.echo(f"{file}: variables: warning: declares {name!r}, which no text uses")
    if errors:
        raise SettingsError([f"{errors} error{'s' if errors > 1 else ''} in {len(files)} file{'s' if len(files) > 1 else ''}"])
    return 0


@template.command("preview", cls=RichCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--variables", default="{}", help="JSON object, or @FILE with one.", show_default=True)
@click.option("--locale", default="", help="Language of whom it is told to; that for all without it.")
@click.option("--route", default="", help="live, push, email, sms or webhook.")
@click.option("--html", "html_only", is_flag=True, help="Print the HTML part alone.")
def preview_file(file: Path, variables: str, locale: str, route: str, html_only: bool) -> None:
    """Render a file's text for a language and a route, and tell what providers would show of it."""
    key = _checked(lambda: check_key("inline", locale, route), file)
    given = {**_read_variables(variables), **OWN_VARIABLES}
    read = read_template_file(file)
    now = SystemClock().now()
    texts = {(one.locale, one.route): StoredText(one, 0, now, text) for one, text in read.texts.items()}
    chosen = choose(texts, key.route, key.locale)
    if chosen is None:
        raise SettingsError([f"{file}: has no text for this locale and route"])
    try:
        rendered = compile_text(chosen.text).render(given, SystemClock())
    except TemplateFault as exc:
        raise SettingsError([f"{file}: {exc}"]) from None
    if html_only:
        click.echo(rendered.html)
        return
    for line in _shown(rendered, show(Content(**msgspec.structs.asdict(rendered)), key.route)):
        click.echo(line)


@template.command("put", cls=RichCommand)
@_FILES
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@api_options
def put_files(files: tuple[Path, ...], dry_run: bool, url: str, api_key: str | None, file: Path | None, dev: bool) -> None:
    """Put files' texts into a server, through its HTTP API; those that are the same there make no new version."""
    read = [read_template_file(one) for one in files]
    key = api_key if api_key is not None else configured_key(file, dev)
    for one in read:
        there = {
            TemplateKey(item["name"], item["locale"], item["route"])
            for item in call_api(url, key, "template_list", {"name": one.name, "limit": 1000})["items"]
        }
        for place, text in one.texts.items():
            fields = {"name": place.name, "locale": place.locale, "route": place.route}
            if place in there:
                stored = call_api(url, key, "template_get", fields)
                if text == TemplateText(**{name: stored.get(name, "") for name in FIELDS}):
                    click.echo(f"{one.name} {_place(place)}is the same")
                    continue
            if dry_run:
                click.echo(f"{one.name} {_place(place)}would be {'changed' if place in there else 'new'}")
                continue
            made = call_api(url, key, "template_put", {**fields, **msgspec.structs.asdict(text)})
            click.echo(f"{one.name} {_place(place)}is version {made['version']}")


def read_template_file(file: Path) -> TemplateFile:
    """Read a template's file, and the files of HTML that it names, which lie beside it.

    Raises:
        SettingsError: It cannot be used; one line per reason.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise SettingsError([f"{file}: is larger than {_MOST_BYTES} bytes"])
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError([f"{file}: cannot be read: {exc.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError([f"{file}: is no TOML: {exc}"]) from None
    try:
        form = msgspec.convert(content, _Form)
    except msgspec.ValidationError as exc:
        raise SettingsError([f"{file}: {exc}"]) from None
    texts: dict[TemplateKey, TemplateText] = {}
    for number, text in enumerate(form.texts):
        where = f"{file}: texts[{number}]"
        key = _checked(lambda text=text: check_key(form.name, text.locale, text.route), where)
        if key in texts:
            raise SettingsError([f"{where}: there is another one for this locale and route"])
        texts[key] = text.read(file.parent, where)
    declared = None if form.variables is None else tuple(form.variables)
    return TemplateFile(form.name, declared, texts)


class _TextForm(msgspec.Struct, forbid_unknown_fields=True):
    locale: str = ""
    route: str = ""
    title: str = ""
    subtitle: str = ""
    body: str = ""
    html: str = ""
    html_file: str = ""
    link: str = ""
    image: str = ""

    def read(self, folder: Path, where: str) -> TemplateText:
        fields = {name: getattr(self, name) for name in FIELDS}
        if self.html_file:
            if self.html:
                raise SettingsError([f"{where}: html and html_file exclude each other"])
            try:
                fields["html"] = (folder / self.html_file).read_text(encoding="utf-8")
            except OSError as exc:
                raise SettingsError([f"{where}: html_file: cannot be read: {exc.strerror}"]) from None
            except UnicodeDecodeError:
                raise SettingsError([f"{where}: html_file: is not UTF-8"]) from None
        return TemplateText(**fields)


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    texts: list[_TextForm]
    variables: list[str] | None = None


def _checked(check: Any, where: object) -> Any:
    try:
        return check()
    except BadInput as exc:
        raise SettingsError([f"{where}: {exc}"]) from None


def _needs(text: TemplateText) -> frozenset[str]:
    try:
        return compile_text(text).needs
    except TemplateFault:
        return frozenset()


def _read_variables(given: str) -> dict[str, Any]:
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        variables = json.loads(text)
    except OSError as exc:
        raise click.BadParameter(f"cannot be read: {exc.strerror}", param_hint="--variables") from None
    except ValueError:
        raise click.BadParameter("must be a JSON object, or @FILE with one", param_hint="--variables") from None
    if not isinstance(variables, dict):
        raise click.BadParameter("must be a JSON object, or @FILE with one", param_hint="--variables")
    return variables


def _place(key: TemplateKey) -> str:
    words = [word for word in (key.locale, key.route) if word]
    return f"[{' '.join(words)}] " if words else ""


def _shown(rendered: Rendered, views: Sequence[Showing]) -> list[str]:
    lines = [f"{name}: {value}" for name in FIELDS if name != "html" and (value := getattr(rendered, name))]
    if rendered.html:
        lines.append(f"html: {len(rendered.html)} characters (--html prints them)")
    for view in views:
        size = f"{view.size_bytes} of {view.limit_bytes} bytes" if view.limit_bytes else f"{view.size_bytes} bytes"
        lines.append(f"{view.provider}: {view.refusal or ', '.join((size, *view.cuts))}")
    return lines
