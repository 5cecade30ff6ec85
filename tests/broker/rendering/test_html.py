"""HTML taken apart, read as text, and styled: right for what people write, bounded for whatever else comes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.rendering.html_text import text_of_html
from broker.rendering.html_tokens import tokens_of
from broker.rendering.styles import MAX_ELEMENTS, Unstylable, inline_styles

MARKS = ("<", ">", "</", "/>", "<!--", "-->", "<!", "<?", '"', "'", "=", " ", "a", "é", "&amp;", "&", "İ", "\n")
TAGS = ("<p>", "</p>", "<a href='x'>", "</a>", "<style>", "</style>", "<script>", "</script", "<td", "<br>", "<svg>", "<head>")
PIECES = st.sampled_from((*MARKS, *TAGS, "<li>", "</head>"))
SOUP = st.lists(PIECES, max_size=60).map("".join)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Title</h1><p>One</p><p>Two</p>", "Title\n\nOne\n\nTwo"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<ul><li>x<li>y</ul>", "- x\n- y"),
        ("<p>1 &lt; 2 &amp;amp; &eacute;</p>", "1 < 2 &amp; é"),
        ("<p>  many\n\n  blanks </p>", "many blanks"),
        ("<a href='https://x.test/?a=1&amp;b=2'>here</a>", "here (https://x.test/?a=1&b=2)"),
        ("<A HREF=https://x.test>https://x.test</A>", "https://x.test"),
        ("<a href='https://x.test'><img alt='Logo' src=x></a>", "Logo (https://x.test)"),
        ("<a href='https://x.test'></a>", "https://x.test"),
        ("<a href='javascript:x'>here</a>", "here"),
        ("<a href='mailto:a@b.c'>mail</a>", "mail (mailto:a@b.c)"),
        ("<a href='https://a.test'>one<a href='https://b.test'>two", "one (https://a.test)two (https://b.test)"),
        ("<head><title>T</title><style>p{}</style></head><body>x<script>1</script><style>a</style>", "x"),
        ("<svg><text>no</text></svg><noscript>no</noscript>yes", "yes"),
        ("<!-- <p>no</p> --><!doctype html>yes<?php no ?>", "yes"),
        ("<table><tr><td>1<td>2</tr><tr><td>3</table>", "1 2\n3"),
        ("a < b and c > d", "a < b and c > d"),
        ("x </> y </5> z", "x y z"),
        ("no end <a href='", "no end"),
        ("", ""),
    ],
)
def test_html_reads_as_text(html: str, text: str) -> None:
    assert text_of_html(html) == text


@given(SOUP)
@settings(deadline=None)
def test_any_soup_is_taken_apart_and_no_text_is_made_up(soup: str) -> None:
    tokens = list(tokens_of(soup))
    places = [token.at for token in tokens]
    assert places == sorted(places)
    assert sum(len(token.name) for token in tokens if token.kind == "text") <= len(soup)
    for token in tokens:
        token.attributes()
    text_of_html(soup)


@given(SOUP)
@settings(deadline=None)
def test_any_soup_is_styled_or_refused(soup: str) -> None:
    try:
        styled = inline_styles(soup)
    except Unstylable:
        return
    assert "<html" in styled


BAD = (
    "<",
    "<!--",
    "<a b='",
    "<![CDATA[",
    "<style>",
    "</",
    "<a ",
    "<xmp><a b='",
    "&",
    "&amp",
    "<a href=",
    "<p><b>",
    "'<",
    'a="<',
)


@pytest.mark.parametrize("bad", BAD)
def test_time_grows_with_the_length_alone(bad: str) -> None:
    """Each took the standard library's parser between seconds and minutes; a test that hangs ends at its own timeout."""
    text_of_html(bad * (128 * 1024 // len(bad)))


def test_attributes_are_read_as_browsers_do() -> None:
    (token,) = tokens_of("<img SRC='a&amp;b' alt = \"x > y\" hidden width=3 src=second>")
    assert token.attributes() == {"src": "a&b", "alt": "x > y", "hidden": "", "width": "3"}


def test_styles_move_to_their_elements() -> None:
    styled = inline_styles("<style>p{color:red} @media print{p{color:blue}}</style><p style='margin:1px'>x</p>")
    assert 'style="color: red;margin: 1px"' in styled
    assert "@media print" in styled
    assert "<style>p{" not in styled
    assert styled.lower().startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in styled


def test_a_whole_page_stays_one() -> None:
    styled = inline_styles("<!doctype html><html lang='de'><head><title>T</title></head><body><p>x</p></body></html>")
    assert styled.count("<html") == styled.count("<body") == 1
    assert 'lang="de"' in styled


@pytest.mark.parametrize(
    "html", ["<link rel=stylesheet href='/etc/passwd'>", "<link rel=stylesheet href='file:///etc/passwd'>"]
)
def test_nothing_is_fetched(html: str) -> None:
    assert "root:" not in inline_styles(f"{html}<p>x</p>")


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ("<div>" * (MAX_ELEMENTS + 1), "more than 2000 elements"),
        ("<svg>" + "<g>" * MAX_ELEMENTS, "more than 2000 elements"),
        ("<style>" + "p{color:red}" * 1400 + "</style>", "more than 16384 characters of styles"),
        ("<style>" + "p{color:red}" * 1400, "more than 16384 characters of styles"),
        ("<style>p{background:" + "x" * 1000 + "}</style>" + "<p>x</p>" * 1000, "becomes too long"),
    ],
)
def test_what_a_mail_must_not_be_is_refused(html: str, rule: str) -> None:
    with pytest.raises(Unstylable, match=rule):
        inline_styles(html)


def test_the_deepest_that_is_let_through_is_borne() -> None:
    assert inline_styles("<div>" * MAX_ELEMENTS).count("<div>") == MAX_ELEMENTS
