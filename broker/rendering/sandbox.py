"""The sandbox that templates run in: no loader, no code, no markup of their own making, and everything counted.

jinja2's sandbox keeps templates from Python's insides; it does not keep them from taking all time and memory. So the parsed
template is held to what it may use, and rebuilt before it is compiled: the body of every loop and macro begins with paying its
weight, what is walked through is bounded, and joined texts are measured first (`budget` says why).
"""

import types
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import TemplateAssertionError
from jinja2.runtime import LoopContext, Macro, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from markupsafe import Markup

from broker.rendering.budget import MAX_ITEMS, MAX_TEXT, Exhausted, charge, weigh
from broker.rendering.filters import FILTERS, TESTS, counted_range, items_of

__all__ = ["HTML", "PLAIN", "Missing", "Sandbox"]

_MAX_NUMBER_BITS: Final = 1024
_REFUSED: Final = {
    nodes.Include: "must not include other templates",
    nodes.Import: "must not import other templates",
    nodes.FromImport: "must not import other templates",
    nodes.Extends: "must not extend another template",
    nodes.Block: "must not have blocks, which only serve templates that extend each other",
    nodes.EvalContextModifier: "must not switch escaping",
}
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset(
        {"capitalize", "endswith", "isdigit", "lower", "lstrip", "rstrip", "split", "splitlines", "startswith", "strip"}
        | {"title", "upper"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
}


class Undefined(StrictUndefined):
    """A variable that was not given; whatever is done with it raises, but for asking whether it is there."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._undefined_exception = self._missing  # type: ignore[assignment]  # called with the message, like the class

    def _missing(self, _message: str | None) -> "Missing":
        return Missing(str(self._undefined_name), is_variable=self._undefined_obj is missing)


class Missing(Exception):
    """Something was done with a variable that was not given, or with a member that what was given has not."""

    def __init__(self, name: str, *, is_variable: bool) -> None:
        super().__init__(name)
        self.name, self.is_variable = name, is_variable


class _Generator(CodeGenerator):
    """Writes expressions as they stand, constants too: what they come to is worked out where it is paid for."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and runs what templates are written in."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, *, is_html: bool) -> None:
        super().__init__(autoescape=is_html, undefined=Undefined, finalize=_written, cache_size=0, trim_blocks=True)
        # Without the optimizer nothing is worked out while a template is compiled, where nobody pays.
        self.optimized = False
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals = {"range": counted_range, "namespace": Namespace}

    def read(self, source: str) -> nodes.Template:
        """Parse, hold to what may be used, and rebuild.

        Raises:
            TemplateSyntaxError: It is none, or uses what it must not; with its line.
            RecursionError: It is nested too deep.
        """
        tree = self.parse(source)
        for kind, rule in _REFUSED.items():
            for node in tree.find_all(kind):
                raise TemplateAssertionError(rule, node.lineno)
        _count(tree)
        return tree

    # What a template calls, joins and computes comes by here.

    def call(self, context: Any, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        charge(1)
        return super().call(context, callee, *args, **kwargs)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro | LoopContext) or obj in (counted_range, Namespace):
            return True
        if isinstance(obj, types.MethodType):
            return isinstance(obj.__self__, LoopContext | Sandbox)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, Markup):
            return False  # its methods are text's made safe for HTML, and are not needed where filters are
        return isinstance(obj, types.BuiltinMethodType) and obj.__name__ in _METHODS.get(type(owner), frozenset())

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers:
            _check_texts(operator, left, right)
        elif operator == "**" and (abs(right) > 64 or abs(left) > 2**32):
            raise Exhausted("computes too large a number")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > _MAX_NUMBER_BITS:
            raise Exhausted("computes too large a number")
        return result

    # What the rebuilt template calls, by `_count`.

    def enter(self, weight: int) -> str:
        """Pay for a body that is entered."""
        charge(weight)
        return ""

    def walked(self, value: Any) -> Any:
        """Pay for what is walked through."""
        return items_of(value)

    def joined(self, *parts: Any) -> str:
        """Join texts, as `~` does."""
        shown = [_written(part) for part in parts]
        weigh(shown)
        text: str = (markup_join if self.autoescape else str_join)(shown)
        return text


def _check_texts(operator: str, left: Any, right: Any) -> None:
    """Bound what an operator makes of texts and lists.

    Raises:
        Exhausted: It would be too large, or is not granted at all.
    """
    if operator == "%":
        raise Exhausted("must not format text by %: use ~ and filters")
    if operator == "*":
        text, times = (left, right) if isinstance(left, str) else (right, left)
        if not (isinstance(text, str) and isinstance(times, int)):
            raise Exhausted("multiplies what is neither text nor number")
        if len(text) * times > MAX_TEXT:
            raise Exhausted(f"makes a text of more than {MAX_TEXT} characters")
        charge(1 + max(0, len(text) * times) // 64)
    elif operator == "+" and isinstance(left, str) and isinstance(right, str):
        weigh([left, right])
    elif operator == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) + len(right) > MAX_ITEMS:
            raise Exhausted(f"makes a list of more than {MAX_ITEMS} items")
        charge(len(left) + len(right))


def _written(value: Any) -> Any:
    """Turn the value of `{{ … }}` into text; lists and objects have none that readers should see.

    Raises:
        Exhausted: It has no text, or it is too long.
    """
    match value:
        case str():
            charge(1 + len(value) // 64)
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Undefined():
            return str(value)  # raises
        case list() | tuple() | dict():
            raise Exhausted("shows a list or an object as it is: use a filter, such as join or tojson")
        case _:
            raise Exhausted("shows what is neither text nor number")


def _count(tree: nodes.Template) -> None:
    """Make every body that can be entered more than once pay, and everything that is walked through or joined as well."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _asking("walked", loop.iter)
    repeated: list[nodes.For | nodes.Macro | nodes.CallBlock] = []
    for kind in (nodes.For, nodes.Macro, nodes.CallBlock):
        repeated += tree.find_all(kind)
    for node in repeated:
        node.body.insert(0, nodes.ExprStmt(_asking("enter", nodes.Const(_weight(node))), lineno=node.lineno))
    _replace_joins(tree)


def _weight(node: nodes.Node) -> int:
    """How much one entry into a node's body is: its own nodes, and the text that stands in it."""
    text = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
    return 1 + sum(1 for _ in node.find_all(nodes.Node)) + text // 16


def _asking(method: str, *arguments: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(method), list(arguments), [], None, None)


def _replace_joins(node: nodes.Node) -> None:
    for name, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            _replace_joins(value)
            if isinstance(value, nodes.Concat):
                setattr(node, name, _asking("joined", *value.nodes))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, nodes.Node):
                    _replace_joins(item)
                    if isinstance(item, nodes.Concat):
                        value[index] = _asking("joined", *item.nodes)


PLAIN: Final = Sandbox(is_html=False)
HTML: Final = Sandbox(is_html=True)
