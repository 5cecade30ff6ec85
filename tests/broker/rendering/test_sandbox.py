"""What templates may do, and that nothing they do is endless, large, or a way out (R23)."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.rendering import compiled
from broker.rendering.budget import Budget, Exhausted, granted
from broker.rendering.compiled import MAX_OUTPUT_BYTES, compile_text
from broker.rendering.errors import MissingVariable, OverBudget, RenderFault, SyntaxFault
from broker.templates import MAX_SOURCE_BYTES, TemplateText
from config.clock import ManualClock


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}", "Hello Ann"),
        ("{{ order.id }} {{ order['id'] }}", "7 7"),
        ("{% for item in items %}{{ loop.index }}.{{ item }}{% if not loop.last %}, {% endif %}{% endfor %}", "1.a, 2.b"),
        ("{% for n in range(3) %}{{ n }}{{ loop.cycle('a', 'b') }}{% endfor %}", "0a1b2a"),
        (
            "{% for a in [[1, 2], 3] recursive %}{% if a is iterable %}{{ loop(a) }}{% else %}{{ a }}{% endif %}{% endfor %}",
            "123",
        ),
        ("{% macro bold(text) %}*{{ text }}*{% endmacro %}{{ bold(name) }}", "*Ann*"),
        ("{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}x{% endcall %}", "[x]"),
        ("{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{% if nickname is defined %}x{% else %}{{ name|upper }}{% endif %}", "ANN"),
        ("{{ nickname|default('friend') }}", "friend"),
        (
            "{{ items|join(', ') }} {{ items|map('upper')|join }} {{ items|length }} {{ items|first }}{{ items|last }}",
            "a, b AB 2 ab",
        ),
        ("{{ people|map(attribute='name')|sort|join(' ') }} {{ people|sum('age') }}", "Ann Bob 70"),
        ("{{ people|selectattr('age', 'gt', 30)|map(attribute='name')|join }}", "Bob"),
        ("{% for key, value in order.items() %}{{ key }}={{ value }}{% endfor %}", "id=7"),
        ("{{ name.upper() }} {{ name.startswith('A') }} {{ order.get('none') }}.", "ANN true ."),
        ("{{ 3 * 4 + 2 ** 5 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ -1|abs }} {{ 2.5|round|int }}", "44 3 1 1 2"),
        ("{{ '-' * 5 }} {{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none }}", "----- ab a1"),
        ("{{ true }} {{ none }} {{ yes }} {{ nothing }}.", "true  true ."),
        ("{{ order|tojson }} {{ name|replace('n', 'm') }} {{ 'a b'|urlencode }}", '{"id": 7} Amm a%20b'),
        ("{{ items|batch(1)|list|length }} {{ [3, 1, 2]|sort|join }} {{ [1, 1]|unique|list|length }}", "2 123 1"),
        ("{% filter upper %}x{{ name }}{% endfilter %}{# a comment #}", "XANN"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ],
)
def test_what_templates_are_for(body: Callable[..., str], source: str, text: str) -> None:
    people = [{"name": "Bob", "age": 40}, {"name": "Ann", "age": 30}]
    given = {"name": "Ann", "order": {"id": 7}, "items": ["a", "b"], "people": people, "yes": True, "nothing": None}
    assert body(source, **given) == text


BOMBS = {
    "a long range": "{% for x in range(10**9) %}{% endfor %}",
    "an endless range": "{% for x in range(10**30) %}{% endfor %}",
    "loops in loops": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "quiet loops in loops": "{% for a in range(9999) %}{% for b in range(9999) if b < 0 %}{% endfor %}{% endfor %}",
    "five loops": "{% for a in r %}" * 5 + "{% endfor %}" * 5,
    "a macro of itself": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "a tree of macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "a loop of itself": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "calls of calls": "{% macro f(n) %}{{ caller() }}{% if n %}{% call f(n - 1) %}{{ n }}{% endcall %}{% call f(n - 1) %}"
    "{% endcall %}{% endif %}{% endmacro %}{% call f(60) %}{% endcall %}",
    "doubling by ~": "{% set n = namespace(x='a') %}{% for i in r %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling by +": "{% set n = namespace(x='a') %}{% for i in r %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling a list": "{% set n = namespace(x=[1]) %}{% for i in r %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling by a block": "{% set n = namespace(x='a') %}{% for i in r %}{% set b %}{{ n.x }}{{ n.x }}{% endset %}"
    "{% set n.x = b %}{% endfor %}",
    "doubling by replace": "{% set n = namespace(x='a') %}{% for i in r %}{% set n.x = n.x|replace('a', 'aa') %}{% endfor %}",
    "growing by replace": "{{ big|replace('y', big) }}",
    "times": "{{ 'a' * 10**9 }}",
    "times a list": "{{ ([0] * 10**9)|length }}",
    "a power": "{{ 9 ** (9 ** 9) }}",
    "a factorial": "{% set n = namespace(x=1) %}{% for i in r %}{% set n.x = n.x * 4294967296 %}{% endfor %}",
    "percent": "{{ '%0999999999d' % 3 }}",
    "many joined": "{{ " + " ~ ".join(["big"] * 5000) + " }}",
    "a list joined": "{{ [" + ", ".join(["big"] * 5000) + "]|join }}",
    "a list as text": "{{ [" + ", ".join(["big"] * 5000) + "]|string }}",
    "a list as JSON": "{{ [" + ", ".join(["big"] * 5000) + "]|tojson }}",
    "a wide separator": "{{ range(9999)|join(big) }}",
    "shown again and again": "{% for i in r %}{% set x %}" + "{{ big }}" * 900 + "{% endset %}{% endfor %}",
    "text again and again": "{% for i in range(9999) %}" + "z" * 9000 + "{% endfor %}",
    "quiet text again and again": "{% for i in range(9999) %}{% set x %}" + "z" * 9000 + "{% endset %}{% endfor %}",
    "batches": "{{ r|batch(10**9, 'x')|list|length }}",
    "slices": "{{ r|slice(10**9)|list|length }}",
    "filters in loops": "{% for a in range(9999) %}{{ big|upper|lower|upper|length }}{% endfor %}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_after_a_bounded_amount_of_work(body: Callable[..., str], name: str) -> None:
    # The clock stands still: what ends them is the count alone. A bomb that is not defused ends at the test's own timeout.
    with pytest.raises(OverBudget):
        body(BOMBS[name], r=list(range(100)), big="y" * 16_000)


def test_the_clock_ends_what_the_count_does_not_see() -> None:
    clock = ManualClock()
    budget = Budget(clock, units=10**9)
    with granted(budget):
        budget.charge(1)
        clock.move(3)
        with pytest.raises(Exhausted, match="takes longer"):
            for _ in range(1000):
                budget.charge(1)


@pytest.mark.parametrize("shown", ["items", "order", "range(3)", "range", "loop"])
def test_what_has_no_text_is_not_shown_by_chance(body: Callable[..., str], shown: str) -> None:
    with pytest.raises(RenderFault, match="shows"):
        body("{% for x in [1] %}{{ " + shown + " }}{% endfor %}", items=[1], order={"a": 1})


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ name.__init__.__globals__ }}",
    "{{ name|attr('__class__') }}",
    "{{ order['__class__'] }}",
    "{{ range.__self__ }}",
    "{{ loop }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum() }}",
    "{{ joiner }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ 'x'.format_map(order) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ 'a'.encode() }}",
    "{{ 'a'.join(items) }}",
    "{{ order.clear() }}",
    "{{ order.update(a=1) }}",
    "{{ items.append(1) }}",
    "{{ name.upper.__self__ }}",
    "{% set x = namespace() %}{{ x.__class__ }}",
    "{{ (1).__class__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{{ environment }}",
    "{{ joined('a') }}",
    "{{ name() }}",
    "{{ 1() }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_there_is_no_way_out(body: Callable[..., str], source: str) -> None:
    with pytest.raises(RenderFault):
        body(source, name="Ann", order={"id": 7}, items=[1])


@pytest.mark.parametrize("name", ["environment", "context", "enter", "walked", "range", "charge", "t_1", "l_0_x", "undefined"])
def test_variables_of_any_name_change_nothing_of_the_bounds(render: Callable[..., Any], name: str) -> None:
    source = "{% set " + name + " = none %}" + "{% for a in r %}" * 5 + "{{ " + name + " }}" + "{% endfor %}" * 5
    with pytest.raises(OverBudget):
        render({"body": source}, r=list(range(100)), **{name: None})


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        ("a\n{{ x", "unexpected end of template", 2),
        ("a\n\n{% for x in y %}", "Unexpected end of template", 3),
        ("{{ x|frobnicate }}", "No filter named 'frobnicate'", 1),
        ("{{ x|safe }}", "No filter named 'safe'", 1),
        ("{{ x|center(9) }}", "No filter named 'center'", 1),
        ("\n{{ x is callable }}", "No test named 'callable'", 2),
        ("\n{% include 'x' %}", "must not include", 2),
        ("{% import 'x' as y %}", "must not import", 1),
        ("{% from 'x' import y %}", "must not import", 1),
        ("{% extends 'x' %}", "must not extend", 1),
        ("{% block a %}{% endblock %}", "must not have blocks", 1),
        ("\n\n{% autoescape false %}{% endautoescape %}", "must not switch escaping", 3),
        ("{% do x() %}", "Encountered unknown tag 'do'", 1),
        ("{{ " + "(" * 5000 + "x" + ")" * 5000 + " }}", "nested too deep", 0),
        ("{{ x" + "|upper" * 9000 + " }}", "nested too deep", 0),
        ("{% for x in y %}" * 30 + "{% endfor %}" * 30, "nested too deep", 0),
        ("x" * (MAX_SOURCE_BYTES + 1), "must be at most 65536 bytes", 0),
        ("ä" * (MAX_SOURCE_BYTES // 2 + 1), "must be at most 65536 bytes", 0),
        ("half \ud83d", "half characters", 0),
    ],
)
def test_what_is_no_template_is_told_by_field_line_and_rule(source: str, rule: str, line: int) -> None:
    with pytest.raises(SyntaxFault, match=rule) as refused:
        compile_text(TemplateText(title="fine", body=source))
    assert (refused.value.field, refused.value.line) == ("body", line)


def test_a_missing_variable_is_told_by_name_and_place(body: Callable[..., str]) -> None:
    with pytest.raises(MissingVariable, match=r"body: needs the variable 'name' \(line 2\)") as refused:
        body("a\n{{ name }}")
    assert refused.value.variable == "name"
    with pytest.raises(RenderFault, match=r"body: needs the member 'id' .* \(line 3\)") as other:
        body("a\n\n{{ order.id }}", order={})
    assert not isinstance(other.value, MissingVariable)


@pytest.mark.parametrize(
    "source", ["{{ secret + 1 }}", "{{ secret|int / 0 }}", "{{ [1][secret] }}{{ secret|sum }}", "{{ secret.x.y }}"]
)
def test_a_fault_says_where_and_never_what_was_given(body: Callable[..., str], source: str) -> None:
    with pytest.raises(RenderFault, match=r"\(line 3\)") as refused:
        body(f"a\nb\n{source}", secret="hunter2")
    assert "hunter2" not in str(refused.value)


def test_what_comes_out_is_bounded_field_by_field(render: Callable[..., Any]) -> None:
    most = "x" * (MAX_OUTPUT_BYTES // 4)
    assert len(render({"title": "{{ a }}" * 4, "body": "{{ a }}" * 4}, a=most).body) == MAX_OUTPUT_BYTES
    with pytest.raises(OverBudget, match="body: makes more than 65536 bytes"):
        render({"title": "{{ a }}" * 4, "body": "{{ a }}" * 4 + "x"}, a=most)
    with pytest.raises(OverBudget, match="title: makes more than 65536 bytes"):
        render({"title": "{{ a }}" * 4}, a="ä" * (MAX_OUTPUT_BYTES // 6))


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"link": "{{ x }}"}, "link: must not come out as a script"),
        ({"link": " \t{{ x }}"}, "link: must not come out as a script"),
        ({"image": "{{ x }}"}, "image: must come out as an https address"),
        ({"link": "https://x.test/{{ lines }}"}, "link: must come out as at most 2048 printable"),
        ({"link": "https://x.test/{{ long }}"}, "link: must come out as at most 2048 printable"),
        ({"image": "https://x.test/{{ lines }}"}, "image: must come out as at most 2048 printable"),
    ],
)
def test_links_and_images_are_held_to_the_rules_of_requests(
    render: Callable[..., Any], fields: dict[str, str], rule: str
) -> None:
    with pytest.raises(RenderFault, match=rule):
        render(fields, x="JavaScript:alert(1)", lines="a\r\nBcc: b", long="y" * 2048)


def test_only_what_is_short_and_does_not_repeat_is_rendered_in_the_loop() -> None:
    assert compile_text(TemplateText(title="{{ a }}", body="{% if b %}x{% endif %}")).is_light
    assert not compile_text(TemplateText(title="{% for a in b %}{% endfor %}")).is_light
    assert not compile_text(TemplateText(title="{% macro a() %}{% endmacro %}")).is_light
    assert not compile_text(TemplateText(html="<p>")).is_light
    assert not compile_text(TemplateText(title="{{ a }}" * compiled._LIGHT_NODES)).is_light


def test_needs_are_the_variables_of_all_fields_and_none_of_ours() -> None:
    text = TemplateText(
        title="{{ a }}", body="{% for x in range(b) %}{{ x }}{{ c.d }}{% endfor %}{{ namespace(a=1) is defined }}"
    )
    assert compile_text(text).needs == {"a", "b", "c"}
