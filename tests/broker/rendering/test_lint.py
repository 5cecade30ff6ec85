"""What a look over a template finds, by place and rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.rendering.lint import Finding, lint
from broker.templates import TemplateText


def found(text: TemplateText, declared: list[str] | None = None) -> list[tuple[str, str, int]]:
    return [(one.severity, one.field, one.line) for one in lint(text, declared)]


def test_a_good_template_has_nothing() -> None:
    html = "<!doctype html>\n<p>{{ a }}<br>\n<ul><li>x<li>y</ul><table><tr><td>1</table><img src='x' alt=''><hr/></p>"
    assert lint(TemplateText(title="{{ a }}", body="{{ a }}", html=html), ["a"]) == []


@pytest.mark.parametrize(
    ("html", "severity", "line", "rule"),
    [
        ("<p>\n<b>x", "error", 2, "<b> is never closed"),
        ("<div><b>x</div>\n", "error", 1, "<b> is never closed"),
        ("\n</i>", "error", 2, "</i> closes nothing"),
        ("</br>", "warning", 1, "</br> closes what has no end"),
        ("<img src='x'>", "warning", 1, "<img> has no alt, which the text part and screen readers need"),
        ("\n\n<script>x</script>", "warning", 3, "<script> is taken out by mail programs"),
        ("<p onclick='x'>", "warning", 1, "<p> has a script, which mail programs take out"),
        ("<i>" * 101 + "</i>" * 101, "error", 1, "nests more than 100 elements"),
        ("<p>" * 2001, "error", 1, "nests more than 100 elements"),
        ("<br>" * 2001, "error", 0, "has more than 2000 elements"),
    ],
)
def test_html_is_looked_over(html: str, severity: str, line: int, rule: str) -> None:
    assert lint(TemplateText(html=html)) == [Finding(severity, "html", line, rule)]  # type: ignore[arg-type]


def test_variables_are_held_to_what_is_declared() -> None:
    text = TemplateText(title="{{ name }}", body="x\n{% for order in orders %}{{ order.id }}{{ nmae }}{% endfor %}")
    assert lint(text) == []
    assert lint(text, ["name", "orders", "nmae"]) == []
    assert lint(text, ["name", "orders", "spare"]) == [
        Finding("error", "body", 2, "names the variable 'nmae', which is not declared"),
        Finding("warning", "variables", 0, "declares 'spare', which no field uses"),
    ]
    assert lint(TemplateText(html="<a href='{{ unsubscribe_url }}'>x</a>"), []) == []


def test_every_field_is_looked_at_even_when_one_is_no_template() -> None:
    text = TemplateText(title="{{ x", body="\n{% endif %}", html="<b>", link="{{ y|safe }}")
    assert found(text) == [("error", "title", 1), ("error", "body", 2), ("error", "html", 1), ("error", "link", 1)]


def test_titles_stand_in_one_line() -> None:
    assert found(TemplateText(title="a\nb")) == [("warning", "title", 1)]
    assert found(TemplateText(title="\na\n")) == []


def test_something_must_be_there() -> None:
    assert found(TemplateText()) == found(TemplateText(link="https://x.test")) == [("error", "title", 0)]


@given(st.text(alphabet="<>/ab{}% \n'\"", max_size=80))
@settings(deadline=None)
def test_whatever_comes_is_looked_over(source: str) -> None:
    assert len(lint(TemplateText(title=source, html=source), ["a"])) <= 300


def test_findings_are_bounded() -> None:
    assert len(lint(TemplateText(html="</b>" * 10_000))) == 100
