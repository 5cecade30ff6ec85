"""One template, compiled: its fields with their places and needs, and what they come to with certain variables."""

import re
from collections.abc import Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, Final

import jinja2
import msgspec
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from broker.rendering.budget import Budget, Exhausted, granted
from broker.rendering.errors import MissingVariable, OverBudget, RenderFault, SyntaxFault
from broker.rendering.html_text import text_of_html
from broker.rendering.sandbox import HTML, PLAIN, Missing, Sandbox
from broker.rendering.styles import Unstylable, inline_styles
from broker.templates import FIELDS, MAX_SOURCE_BYTES, TemplateText
from config.clock import Clock

__all__ = ["MAX_OUTPUT_BYTES", "CompiledText", "Rendered", "compile_text"]

MAX_OUTPUT_BYTES: Final = 64 * 1024
_LINK_CHARS: Final = 2048
# So many nodes of a template without loops are rendered in less than a millisecond, which the loop can bear.
_LIGHT_NODES: Final = 400
# What a client that opens a link would run instead of showing it; browsers skip leading blanks.
_SCRIPT: Final = re.compile(r"\s*(javascript|vbscript|data|blob|file)\s*:", re.IGNORECASE)


class Rendered(msgspec.Struct, frozen=True):
    """The texts as they are told. `html` has its styles at its elements, and then `body` is what it says without any."""

    title: str = ""
    subtitle: str = ""
    body: str = ""
    html: str = ""
    link: str = ""
    image: str = ""


class _Field(msgspec.Struct, frozen=True):
    name: str
    template: jinja2.Template
    needs: frozenset[str]
    members: frozenset[str]
    is_light: bool


class CompiledText(msgspec.Struct, frozen=True):
    """What is compiled once and rendered often; may be used by several threads at once.

    Attributes:
        needs: The variables that it names anywhere, also where it only asks whether they are there.
        is_light: Whether rendering it takes so little that it may be done in the loop's turn.
    """

    fields: tuple[_Field, ...]
    needs: frozenset[str]
    is_light: bool

    def render(self, variables: Mapping[str, Any], clock: Clock) -> Rendered:
        """Render all fields under one budget.

        Raises:
            RenderFault: Naming the field, the line and the rule.
        """
        budget = Budget(clock)
        texts = {}
        with granted(budget):
            for field in self.fields:
                texts[field.name] = _render(field, variables)
        return _finished(texts)


def compile_text(text: TemplateText) -> CompiledText:
    """Compile every field that is there.

    Raises:
        SyntaxFault: Naming the first field that is none, the line and the rule.
    """
    fields = tuple(_compile(name, source) for name in FIELDS if (source := getattr(text, name)))
    needs = frozenset().union(*(field.needs for field in fields))
    return CompiledText(fields, needs, not text.html and all(field.is_light for field in fields))


def _compile(name: str, source: str) -> _Field:
    if len(source.encode(errors="surrogatepass")) > MAX_SOURCE_BYTES:
        raise SyntaxFault(name, f"must be at most {MAX_SOURCE_BYTES} bytes")
    sandbox = HTML if name == "html" else PLAIN
    try:
        source.encode()
        tree = sandbox.read(source)
        needs = frozenset(meta.find_undeclared_variables(tree))
        template = _template(sandbox, sandbox.compile(tree, name, name))
    except TemplateSyntaxError as exc:
        raise SyntaxFault(name, (exc.message or "is no template").rstrip("."), line=exc.lineno) from None
    except (RecursionError, MemoryError, SyntaxError):  # of Python's compiler: it bounds how deep blocks may stand
        raise SyntaxFault(name, "is nested too deep") from None
    except UnicodeError:
        raise SyntaxFault(name, "must be text without half characters") from None
    repeats = next(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)), None) is not None
    count = sum(1 for _ in tree.find_all(nodes.Node))
    members = frozenset(node.attr for node in tree.find_all(nodes.Getattr))
    return _Field(name, template, needs - sandbox.globals.keys(), members, not repeats and count <= _LIGHT_NODES)


def _template(sandbox: Sandbox, code: CodeType) -> jinja2.Template:
    template: jinja2.Template = sandbox.template_class.from_code(sandbox, code, dict(sandbox.globals))
    return template


def _render(field: _Field, variables: Mapping[str, Any]) -> str:
    try:
        return _gathered(field.name, field.template.root_render_func(field.template.new_context(dict(variables))))
    except Missing as exc:
        line = _line(exc.__traceback__, field.name)
        if exc.is_variable:
            raise MissingVariable(field.name, exc.name, line=line) from None
        # A name that does not stand in the template came out of a variable, and may be nobody's business.
        member = f"the member {exc.name!r}" if exc.name in field.members else "a member"
        raise RenderFault(field.name, f"needs {member} of something that has none", line=line) from None
    except Exhausted as exc:
        raise OverBudget(field.name, str(exc), line=_line(exc.__traceback__, field.name)) from None
    except RecursionError as exc:
        raise OverBudget(field.name, "calls itself too often", line=_line(exc.__traceback__, field.name)) from None
    except SecurityError as exc:
        rule = "uses what templates must not use: filters do what is granted"
        raise RenderFault(field.name, rule, line=_line(exc.__traceback__, field.name)) from None
    except RenderFault:
        raise
    except Exception as exc:  # the edge of a template: whatever its author did wrong; the text could quote a variable
        line = _line(exc.__traceback__, field.name)
        raise RenderFault(field.name, f"cannot be worked out with these variables ({type(exc).__name__})", line=line) from None


def _gathered(name: str, pieces: Iterator[str]) -> str:
    """Put the pieces together, as long as they are not too many."""
    gathered, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT_BYTES:
            break
        gathered.append(piece)
    text = "".join(gathered)
    if size > MAX_OUTPUT_BYTES or len(text.encode(errors="surrogatepass")) > MAX_OUTPUT_BYTES:
        raise OverBudget(name, f"makes more than {MAX_OUTPUT_BYTES} bytes")
    return text


def _line(traceback: TracebackType | None, name: str) -> int:
    """The line of the template that was being rendered; jinja2 keeps it beside that of the code it made."""
    line = 0
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_filename == name and (template := frame.f_globals.get("__jinja_template__")) is not None:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _finished(texts: Mapping[str, str]) -> Rendered:
    """Hold what came out to the rules of its field, and make of HTML what mail programs need.

    Raises:
        RenderFault: It breaks one.
    """
    link, image = texts.get("link", "").strip(), texts.get("image", "").strip()
    for name, value in (("link", link), ("image", image)):
        if len(value) > _LINK_CHARS or not value.isprintable():
            raise RenderFault(name, f"must come out as at most {_LINK_CHARS} printable characters")
    if _SCRIPT.match(link):
        raise RenderFault("link", "must not come out as a script")
    if image and not image.startswith("https://"):
        raise RenderFault("image", "must come out as an https address")
    html, body = texts.get("html", "").strip(), texts.get("body", "").strip()
    if html:
        body = body or text_of_html(html)
        try:
            html = inline_styles(html)
        except Unstylable as exc:
            raise RenderFault("html", str(exc)) from None
    return Rendered(texts.get("title", "").strip(), texts.get("subtitle", "").strip(), body, html, link, image)
