"""The filters and tests that templates may use: those that cannot blow up, each paying for what it reads and makes.

Left out of jinja2's own: `safe` and what else turns text into markup (`xmlattr`, `urlize`), what pads to any width (`center`,
`indent`, `wordwrap`, `format`), what takes the square of its text's length (`striptags`), what draws lots (`random`) and what
only debugging needs.
"""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jinja2 import pass_environment, pass_eval_context
from jinja2.environment import Environment
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.filters import do_join, do_replace
from jinja2.nodes import EvalContext
from jinja2.tests import TESTS as DEFAULT_TESTS
from markupsafe import Markup, escape, soft_str

from broker.rendering.budget import MAX_ITEMS, MAX_TEXT, Exhausted, charge, weigh

__all__ = ["FILTERS", "TESTS", "counted_range", "items_of"]

_TEXT: Final = (
    "capitalize",
    "e",
    "escape",
    "filesizeformat",
    "float",
    "int",
    "lower",
    "round",
    "string",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "wordcount",
    "abs",
)
_LISTS: Final = (
    "attr",
    "batch",
    "d",
    "default",
    "dictsort",
    "first",
    "groupby",
    "items",
    "last",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "unique",
)
_TESTS: Final = (
    "boolean",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
    "==",
    "!=",
    ">",
    ">=",
    "<",
    "<=",
    "greaterthan",
    "lessthan",
)


def items_of(value: Any) -> Any:
    """Charge for what is about to be walked through, and bound it; what makes its items one by one is made a list."""
    if isinstance(value, Iterator):
        value = list(islice(value, MAX_ITEMS + 1))
    if isinstance(value, str):
        charge(1 + len(value) // 64)
    elif hasattr(value, "__len__"):
        if len(value) > MAX_ITEMS:
            raise Exhausted(f"walks through more than {MAX_ITEMS} items")
        charge(1 + len(value))
    return value


def counted_range(*bounds: int) -> range:
    """`range`, no longer than a list may be.

    Raises:
        Exhausted: It is.
    """
    counted = range(*bounds)
    try:
        is_long = len(counted) > MAX_ITEMS
    except OverflowError:
        is_long = True
    if is_long:
        raise Exhausted(f"has a range of more than {MAX_ITEMS} numbers")
    return counted


def _of_text(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter pay for all that it is given, which bounds what it makes."""

    @functools.wraps(plain)
    def paying(*arguments: Any, **options: Any) -> Any:
        for argument in (*arguments, *options.values()):
            if isinstance(argument, str | list | tuple | dict):
                weigh(argument)
        return plain(*arguments, **options)

    return paying


def _of_list(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter pay by the length of what it is given, and give a list where it would give its items one by one."""

    @functools.wraps(plain)
    def paying(*arguments: Any, **options: Any) -> Any:
        for size in (*arguments, *options.values()):
            if isinstance(size, int) and size > MAX_ITEMS:
                raise Exhausted(f"asks for more than {MAX_ITEMS} items")
        charge(1)
        return items_of(plain(*(items_of(one) if _is_many(one) else one for one in arguments), **options))

    return paying


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple | dict | Iterator | range)


@pass_eval_context
def _join(eval_context: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = list(items_of(value))
    if attribute is not None:
        items = [eval_context.environment.getitem(item, attribute) for item in items]
    if weigh(items) + len(soft_str(d)) * len(items) > MAX_TEXT:
        raise Exhausted(f"makes a text of more than {MAX_TEXT} characters")
    joined: str = do_join(eval_context, items, d)
    return joined


@pass_eval_context
def _replace(eval_context: EvalContext, s: str, old: str, new: str, count: int | None = None) -> str:
    text, old, new = soft_str(s), soft_str(old), soft_str(new)
    # Where quotes and angle brackets are escaped first, a text is at most six times as long.
    if weigh(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_TEXT // 6:
        raise Exhausted(f"makes a text of more than {MAX_TEXT // 6} characters")
    replaced: str = do_replace(eval_context, text, old, new, count)
    return replaced


def _length(value: Any) -> int:
    return len(items_of(value))


@pass_environment
def _sum(environment: Environment, value: Iterable[Any], attribute: str | int | None = None, start: int = 0) -> Any:
    items = list(items_of(value))
    if attribute is not None:
        items = [environment.getitem(item, attribute) for item in items]
    if not all(isinstance(item, int | float) for item in (*items, start)):
        raise Exhausted("adds up what is no number")
    return sum(items, start)


def _tojson(value: Any) -> Markup:
    """Write JSON that may stand in a script or an attribute of HTML, as in the filter of the same name."""
    weigh(value)
    text = json.dumps(value, ensure_ascii=False)
    for char, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")):
        text = text.replace(char, code)
    return Markup(text)  # noqa: S704 (escaped above)


@pass_eval_context
def _nl2br(eval_context: EvalContext, value: Any) -> Any:
    """Break lines where the text does: in HTML by elements, elsewhere by nothing else."""
    weigh(value)
    if not eval_context.autoescape:
        return value
    return Markup("<br>\n").join(escape(line) for line in soft_str(value).splitlines())


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _of_text(DEFAULT_FILTERS[name]) for name in _TEXT},
    **{name: _of_list(DEFAULT_FILTERS[name]) for name in _LISTS},
    "count": _length,
    "join": _join,
    "length": _length,
    "nl2br": _nl2br,
    "replace": _replace,
    "sum": _sum,
    "tojson": _tojson,
}
TESTS: Final[Mapping[str, Any]] = {name: DEFAULT_TESTS[name] for name in _TESTS}
