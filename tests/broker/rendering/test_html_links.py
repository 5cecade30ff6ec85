"""Links in a mail's HTML: found as browsers find them, led elsewhere, and nothing else touched (N-29)."""

import html
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.rendering.html_links import lead_links, links_of
from broker.rendering.styles import inline_styles


def lead(number: int, target: str) -> str:
    return f"https://n.test/c/{number}"


class Reader(HTMLParser):
    """The standard library's parser, as a second opinion on well-formed texts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.hrefs: list[str | None] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "area"):
            self.hrefs.append(dict(attrs).get("href"))


@pytest.mark.parametrize(
    ("source", "led"),
    [
        ('<a href="https://x.test/1">one</a>', '<a href="https://n.test/c/1">one</a>'),
        ("<a class='b' href='http://x.test/1'>one</a>", "<a class='b' href=\"https://n.test/c/1\">one</a>"),
        ("<A HREF=https://x.test/1 id=b>one</A>", '<A HREF="https://n.test/c/1" id=b>one</A>'),
        ('<a href = " HTTPS://x.test/1 ">one</a>', '<a href = "https://n.test/c/1">one</a>'),
        ('<map><area href="https://x.test/1"></map>', '<map><area href="https://n.test/c/1"></map>'),
        ('<a title="<a href=\'https://x.test/0\'>" href="https://x.test/1">', None),
        ('<a href="mailto:ann@x.test">mail</a><a href="https://x.test/1">one</a>', None),
    ],
)
def test_a_link_is_led_elsewhere_and_all_else_stays(source: str, led: str | None) -> None:
    result = lead_links(source, lead)
    assert result == (led or source.replace('"https://x.test/1"', '"https://n.test/c/1"'))


@pytest.mark.parametrize(
    "source",
    [
        '<a href="mailto:ann@x.test">write</a>',
        '<a href="#top">up</a>',
        '<a href="/orders/7">seven</a>',
        '<a href="tel:+15005550006">call</a>',
        '<a href="shop://orders/7">open the app</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="">none</a>',
        "<a href>none</a>",
        '<a name="https://x.test/1">anchor</a>',
        '<a data-href="https://x.test/1" xlink:href="https://x.test/2">x</a>',
        '<a data-heliograph-untracked href="https://x.test/1">as it is</a>',
        '<a href="https://x.test/1" DATA-HELIOGRAPH-UNTRACKED="">as it is</a>',
        '<img src="https://x.test/1"><link href="https://x.test/2">',
        '<!-- <a href="https://x.test/1">hidden</a> -->',
        '<title><a href="https://x.test/1"></title>',
        "https://x.test/1",
        '<a href="https://x.test/1',
    ],
)
def test_what_is_no_link_to_the_web_is_left_alone(source: str) -> None:
    assert lead_links(source, lead) == source


def test_links_are_numbered_by_their_place_whether_or_not_they_are_led() -> None:
    source = (
        '<a href="https://x.test/1">1</a><a href="#a">no</a><a data-heliograph-untracked href="https://x.test/2">2</a>'
        '<a href="https://x.test/3?a=1&amp;b=%C3%A4">3</a>'
    )
    assert [(link.number, link.target) for link in links_of(source)] == [
        (1, "https://x.test/1"),
        (2, "https://x.test/2"),
        (3, "https://x.test/3?a=1&b=%C3%A4"),
    ]
    assert Reader(lead_links(source, lead)).hrefs == ["https://n.test/c/1", "#a", "https://x.test/2", "https://n.test/c/3"]


def test_an_address_cannot_break_out_of_its_place() -> None:
    led = lead_links('<a href="https://x.test/">x</a>', lambda _number, _target: 'https://n.test/"><script>alert(1)</script>')
    assert "<script>" not in led
    assert Reader(led).hrefs == ['https://n.test/"><script>alert(1)</script>']


_TARGETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=20).map(
    lambda tail: f"https://x.test/{tail}"
)


@given(st.lists(_TARGETS, max_size=5))
def test_what_was_styled_is_led_link_by_link(targets: list[str]) -> None:
    source = inline_styles("<p>" + "".join(f'<a href="{html.escape(one)}">x</a>' for one in targets))
    assert [link.target for link in links_of(source)] == Reader(source).hrefs
    asked: list[str] = []

    def remember(number: int, target: str) -> str:
        asked.append(target)
        return f"https://n.test/{number}"

    led = lead_links(source, remember)
    assert Reader(led).hrefs == [f"https://n.test/{number}" for number in range(1, len(targets) + 1)]
    assert asked == Reader(source).hrefs


@given(st.text("<>a=\"' hrefttps:/x!-&;#\\\n", max_size=200))
@example('<a href="https:' * 50)
def test_whatever_it_is_it_is_read_to_its_end(source: str) -> None:
    led = lead_links(source, lambda _number, target: target)
    assert led == source
