"""`heliograph template`: files looked over, tried out, and put into a started server that then tells them."""

import re
import urllib.request
from pathlib import Path

import pytest

from broker.unsubscribe import OptOut, UnsubscribeLinks

GOOD = """
name = "order.shipped"
variables = ["name", "order"]

[[texts]]
locale = "en"
title = "Order {{ order }} is on its way"
body = "Dear {{ name }}, it arrives tomorrow."

[[texts]]
locale = "en"
route = "email"
html_file = "mail.html"

[[texts]]
locale = "de"
title = "Bestellung {{ order }} ist unterwegs"
body = "Hallo {{ name }}"
"""
HTML = "<style>p{color:red}</style>\n<p>Dear {{ name }}</p>\n<a href='{{ unsubscribe_url }}'>No more</a>\n"


@pytest.fixture
def file(directory: Path) -> Path:
    (directory / "mail.html").write_text(HTML)
    (directory / "order.toml").write_text(GOOD)
    return directory / "order.toml"


def test_a_good_file_has_nothing_to_tell(run, file):
    ended = run("template", "lint", "order.toml")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_errors_are_told_by_file_text_field_and_line(run, directory):
    (directory / "bad.toml").write_text(
        'name = "t"\nvariables = ["a", "spare"]\n[[texts]]\ntitle = "{{ a }}"\nbody = "x\\n{{ nmae }}"\n'
        '[[texts]]\nlocale = "de"\nroute = "email"\nhtml = "<p>\\n<b>"\nbody = "{{ x"\n'
    )
    ended = run("template", "lint", "bad.toml")
    assert ended.code == 2
    assert ended.out.splitlines() == [
        "bad.toml: body:2: error: names the variable 'nmae', which is not declared",
        "bad.toml: [de email] body:1: error: unexpected end of template, expected 'end of print statement'",
        "bad.toml: [de email] html:2: error: <b> is never closed",
        "bad.toml: variables: warning: declares 'spare', which no text uses",
    ]
    assert ended.err == "heliograph: 3 errors in 1 file\n"


def test_a_preview_shows_texts_and_what_providers_make_of_them(run, file):
    ended = run("template", "preview", "order.toml", "--locale", "de-AT", "--variables", '{"name": "Ann", "order": 7}')
    assert ended.code == 0, ended.err
    assert ended.out.startswith("title: Bestellung 7 ist unterwegs\nbody: Hallo Ann\napns: ")
    assert re.search(r"^apns: \d+ of 4096 bytes$", ended.out, re.MULTILINE)
    (file.parent / "v.json").write_text('{"name": "<Ann>", "order": 7}')
    ended = run("template", "preview", "order.toml", "--locale", "en", "--route", "email", "--html", "--variables", "@v.json")
    assert '<p style="color: red;">Dear &lt;Ann&gt;</p>' in ended.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--locale", "fr"], "heliograph: order.toml: has no text for this locale and route"),
        (["--locale", "en"], "heliograph: order.toml: title: needs the variable 'order' (line 1)"),
        (["--route", "pigeon"], "heliograph: order.toml: route: must be one of"),
        (["--variables", "[1]"], "heliograph template preview: Invalid value for --variables: must be a JSON object"),
        (["--variables", "@none"], "heliograph template preview: Invalid value for --variables: cannot be read"),
    ],
)
def test_a_preview_fails_in_one_line(run, file, arguments, line):
    ended = run("template", "preview", "order.toml", *arguments)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name = ", "is no TOML"),
        ("name = 1\ntexts = []", "Expected `str`, got `int` - at `$.name`"),
        ('name = "t"\n', "missing required field `texts`"),
        ('name = "t"\n[[texts]]\nfooter = "x"', "unknown field `footer` - at `$.texts[0]`"),
        ('name = "a b"\n[[texts]]\ntitle = "x"', "texts[0]: name: must be"),
        ('name = "t"\n[[texts]]\nlocale = "german!"', "texts[0]: locale: must be a language"),
        ('name = "t"\n[[texts]]\n[[texts]]', "texts[1]: there is another one for this locale and route"),
        ('name = "t"\n[[texts]]\nhtml_file = "none.html"', "texts[0]: html_file: cannot be read: No such file"),
        ('name = "t"\n[[texts]]\nhtml_file = "x.toml"\nhtml = "<p>"', "texts[0]: html and html_file exclude each other"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(run, directory, text, line):
    (directory / "x.toml").write_text(text)
    ended = run("template", "lint", "x.toml")
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert line in ended.err
    assert run("template", "lint", "none.toml").err == "heliograph: none.toml: cannot be read: No such file or directory\n"


def test_files_are_put_into_a_server_once_each(run, launch, file):
    server = launch("serve", "--port", "0").greeted()
    to = ["--url", server.url, "--config", "h.toml"]
    ended = run("template", "put", "order.toml", "--dry-run", *to)
    assert ended.out.splitlines()[0] == "order.shipped [en] would be new"
    assert server.call("template_list")["items"] == []
    ended = run("template", "put", "order.toml", *to)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "order.shipped [en] is version 1",
        "order.shipped [en email] is version 2",
        "order.shipped [de] is version 3",
    ]
    file.write_text(GOOD.replace("Hallo", "Guten Tag"))
    assert run("template", "put", "order.toml", *to).out.splitlines() == [
        "order.shipped [en] is the same",
        "order.shipped [en email] is the same",
        "order.shipped [de] is version 4",
    ]
    use = {"name": "order.shipped", "variables": {"name": "Ann", "order": 7}}
    shown = server.call("template_preview", locale="en", route="email", **use)
    assert [view["provider"] for view in shown["providers"]] == ["email"]
    made = server.call("notify", user="ann", template=use, category="orders")
    assert server.call("inbox_list", user="ann")["items"][0]["title"] == "Order 7 is on its way"
    assert made["notifications"][0]["user"] == "ann"
    assert server.end() == 0


def test_a_link_of_a_mail_is_followed_by_a_started_server(launch):
    """One click at a started server is a preference in its store (RFC 8058)."""
    secret, public_url = "s" * 32, "http://127.0.0.1:1"
    server = launch(
        "serve",
        "--port",
        "0",
        HELIOGRAPH_NOTIFICATIONS__UNSUBSCRIBE__PUBLIC_URL=public_url,
        HELIOGRAPH_NOTIFICATIONS__UNSUBSCRIBE__SECRET=secret,
    ).greeted()
    address = UnsubscribeLinks(public_url, secret.encode()).address(OptOut("ann", "news", "email"))
    path = address.removeprefix(public_url)
    assert server.get(path)[0] == 200
    assert server.call("preferences_get", user="ann")["preferences"] == []
    request = urllib.request.Request(server.url + path, b"List-Unsubscribe=One-Click")
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 200
    (word,) = server.call("preferences_get", user="ann")["preferences"]
    assert (word["category"], word["route"], word["enabled"]) == ("news", "email", False)
    assert server.get("/unsubscribe/none")[0] == 404
    assert server.end() == 0
