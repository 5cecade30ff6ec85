"""The API's methods for templates: what they keep, show and refuse."""

from typing import Any

import pytest


async def test_a_text_is_put_and_read_with_its_versions_and_variables(desk: Any) -> None:
    made = await desk.api.result(
        "template_put", name="t", locale="pt_br", route="email", title="{{ a }}", html="<p>{{ b }}</p>"
    )
    assert made == {"version": 1, "variables": ["a", "b"], "findings": []}
    desk.clock.move(60)
    await desk.put(locale="pt-BR", route="email", title="new")
    item = await desk.api.result("template_get", name="t", locale="pt-BR", route="email")
    assert (item["locale"], item["version"], item["title"], item["variables"]) == ("pt-BR", 2, "new", [])
    assert [one["version"] for one in item["versions"]] == [2, 1]
    assert item["versions"][0]["created_at"] - item["versions"][1]["created_at"] == 60
    older = await desk.api.result("template_get", name="t", locale="pt-BR", route="email", version=1)
    assert (older["title"], older["html"], older["variables"]) == ("{{ a }}", "<p>{{ b }}</p>", ["a", "b"])


async def test_what_is_doubtful_is_told_and_kept(desk: Any) -> None:
    made = await desk.api.result("template_put", name="t", html="<p>\n<b>x</p>")
    assert made["findings"] == [{"severity": "error", "field": "html", "line": 2, "rule": "<b> is never closed"}]
    assert (await desk.api.result("template_put", name="u", link="https://x.test"))["findings"] == []


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ({"name": "t"}, "title: one of title, subtitle, body, html, link and image must not be empty"),
        ({"name": "", "title": "x"}, "name: must be 1 to 128 letters"),
        ({"name": "a b", "title": "x"}, "name: must be 1 to 128 letters"),
        ({"name": "t", "title": "x", "locale": "german!"}, "locale: must be a language"),
        ({"name": "t", "title": "x", "route": "pigeon"}, "route: must be one of live, push, email, sms, webhook"),
        ({"name": "t", "title": "x", "footer": "y"}, "footer: unknown field"),
        ({"name": "t", "body": "a\n{{ x"}, "body: unexpected end of template, expected 'end of print statement' (line 2)"),
        ({"name": "t", "html": "{{ x|safe }}"}, "html: No filter named 'safe' (line 1)"),
        ({"name": "t", "body": "\n{% include 'x' %}"}, "body: must not include other templates (line 2)"),
        ({"name": "t", "body": "x" * 65537}, "body: must be at most 65536 bytes"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_field_line_and_rule(desk: Any, request_: dict[str, str], rule: str) -> None:
    assert (await desk.refused("template_put", **request_)).startswith(rule)
    assert (await desk.api.result("template_list"))["items"] == []


async def test_what_is_not_there_is_not_found(desk: Any) -> None:
    await desk.put(title="x")
    for method, more in (
        ("template_get", {"locale": "de"}),
        ("template_get", {"version": 9}),
        ("template_remove", {"locale": "de"}),
        ("template_rollback", {"version": 9}),
        ("template_preview", {"name": "other"}),
        ("template_preview", {"version": 9}),
    ):
        code, message = await desk.api.error(method, **{"name": "t", **more})
        assert (code, message.endswith("not found")) == (104, True), method
    assert await desk.refused("template_get", name="t", version=-1) == "version: must be a version, or 0 for the newest"
    assert await desk.refused("template_rollback", name="t", version=0) == "version: must be a version"


async def test_they_are_listed_page_by_page(desk: Any) -> None:
    for name, locale, route in (("b", "", ""), ("a", "de", ""), ("a", "", "push"), ("a", "", "")):
        await desk.put(name, locale, route, title="x")
    first = await desk.api.result("template_list", limit=3)
    second = await desk.api.result("template_list", limit=3, cursor=first["next_cursor"])
    listed = [(item["name"], item["locale"], item["route"]) for item in first["items"] + second["items"]]
    assert listed == [("a", "", ""), ("a", "", "push"), ("a", "de", ""), ("b", "", "")]
    assert "next_cursor" not in second
    assert "title" not in first["items"][0]
    assert len((await desk.api.result("template_list", name="a"))["items"]) == 3
    assert (await desk.refused("template_list", limit=1001)) == "limit: must be from 0 to 1000"
    for cursor in ("x", "a/b/c", "//", "a/de/push/x"):
        assert (await desk.refused("template_list", cursor=cursor)) == "cursor: must be the next_cursor of a page"


async def test_a_removed_text_comes_back_by_a_rollback(desk: Any) -> None:
    await desk.put(locale="de", title="Alt")
    await desk.put(locale="en", title="Old")
    assert (await desk.api.result("template_remove", name="t", locale="DE"))["version"] == 3
    assert [item["locale"] for item in (await desk.api.result("template_list"))["items"]] == ["en"]
    assert (await desk.api.result("template_rollback", name="t", locale="de", version=1))["version"] == 4
    item = await desk.api.result("template_get", name="t", locale="de")
    assert item["title"] == "Alt"
    assert [(one["version"], one.get("removed", False)) for one in item["versions"]] == [(4, False), (3, True), (1, False)]
    assert (await desk.api.result("template_remove", name="t"))["version"] == 5
    assert (await desk.api.result("template_list"))["items"] == []


async def test_a_preview_shows_what_a_language_and_a_route_would_get(desk: Any) -> None:
    await desk.put(locale="en", title="Hello {{ name }}", body="b")
    await desk.put(locale="de", title="Hallo {{ name }}", body="b")
    await desk.put(locale="de", route="email", html="<style>p{color:red}</style><p>Hallo {{ name }}</p>")
    shown = await desk.api.result("template_preview", name="t", locale="de-AT", route="email", variables={"name": "<Ann>"})
    assert (shown["locale"], shown["version"], shown["title"], shown["body"]) == ("de", 3, "Hallo <Ann>", "b")
    assert '<p style="color: red;">Hallo &lt;Ann&gt;</p>' in shown["html"]
    assert [view["provider"] for view in shown["providers"]] == ["email"]
    french = await desk.api.result("template_preview", name="t", locale="fr", route="push", variables={"name": "Ann"})
    assert (french["locale"], french["title"]) == ("en", "Hello Ann")
    older = await desk.api.result("template_preview", name="t", locale="de", route="email", version=2, variables={"name": "A"})
    assert (older["version"], older["html"]) == (2, "")


async def test_a_preview_shows_what_each_provider_cuts(desk: Any) -> None:
    """Rendered texts are cut where readers see characters end, to the limit of the provider (truncation rule)."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    shown = await desk.api.result(
        "template_preview", title="T", body="{% for n in range(500) %}{{ f }}{% endfor %}", variables={"f": family}
    )
    assert shown["body"] == family * 500
    views = {view["provider"]: view for view in shown["providers"]}
    assert set(views) >= {"apns", "fcm", "webpush", "email"}
    for name, limit in (("apns", 4096), ("fcm", 4096), ("webpush", 3993)):
        view = views[name]
        assert limit - 20 < view["size_bytes"] <= view["limit_bytes"] == limit
        assert view["cuts"][0].startswith("body -")
        kept = view["body"].removesuffix("…")
        assert kept != view["body"]
        assert kept == family * (len(kept) // len(family))
    assert views["email"]["body"] == family * 500
    assert "limit_bytes" not in views["email"]


async def test_a_preview_says_who_would_show_nothing(desk: Any) -> None:
    shown = await desk.api.result("template_preview", link="https://x.test")
    refusals = {view["provider"]: view.get("refusal", "") for view in shown["providers"]}
    assert refusals["webpush"] == "nothing to show: browsers take no silent messages"
    assert refusals["email"] == "nothing to show in a mail"


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ({"name": "t", "title": "x"}, "name: must not be given beside texts"),
        ({"name": "t"}, "variables.name: must be given: title: needs the variable 'name' (line 1)"),
        ({"name": "de-only", "locale": "fr"}, "name: names no template with a text for this locale and route"),
        ({"name": "t", "variables": []}, "variables: must be a JSON object"),
        ({"name": "t", "variables": {"a": "x" * 16384}}, "variables: must be at most 16384 bytes"),
        ({"body": "{{ x"}, "body: unexpected end of template"),
        ({"body": "\n{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"}, "body: takes more work"),
        ({"body": "{{ 1 / 0 }}"}, "body: cannot be worked out with these variables (ZeroDivisionError) (line 1)"),
        ({"link": "{{ x }}", "variables": {"x": "javascript:1"}}, "link: must not come out as a script"),
        ({"html": "<p>" * 2001}, "html: has more than 2000 elements"),
    ],
)
async def test_a_preview_names_what_is_wrong(desk: Any, request_: dict[str, Any], rule: str) -> None:
    await desk.put(title="{{ name }}")
    await desk.put("de-only", "de", title="x")
    assert (await desk.refused("template_preview", **request_)).startswith(rule)


async def test_a_lint_finds_errors_of_every_kind(desk: Any) -> None:
    found = await desk.api.result(
        "template_lint", title="{{ a }}\n{{ b }}", body="{{ x", html="<div>\n<p>x</b>", variables=["a", "z"]
    )
    assert [(one["severity"], one["field"], one["line"]) for one in found["findings"]] == [
        ("error", "title", 2),
        ("warning", "title", 1),
        ("error", "body", 1),
        ("error", "html", 1),
        ("error", "html", 2),
    ]
    assert found["variables"] == []
    fine = await desk.api.result("template_lint", title="{{ a }}", html="<p>{{ unsubscribe_url }}<p>", variables=["a"])
    assert fine == {"findings": [], "variables": ["a", "unsubscribe_url"]}
    empty = await desk.api.result("template_lint")
    assert [one["rule"] for one in empty["findings"]] == ["one of title, body and html must not be empty"]
    assert await desk.refused("template_lint", variables=["x"] * 1001) == "variables: must not name more than 1000"
