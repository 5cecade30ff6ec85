"""`notify` by template and by variants: what is pinned, and what is refused before anything is stored."""

from datetime import timedelta
from typing import Any

import pytest

from broker.devices import Registration
from broker.experiments import assign
from broker.ledger import PlanDone
from broker.notification import Lane, Provider, Variant
from config.settings import NotificationSettings
from gateway.notify.methods import notification_methods
from gateway.notify.service import NotificationService

NEEDED = {"name": "Ann"}


@pytest.fixture
async def templated(desk: Any) -> Any:
    await desk.put(locale="en", title="Hello {{ name }}", body="You have {{ count|default(0) }}")
    await desk.put(locale="de", title="Hallo {{ name }}")
    await desk.put("mail", "en", "email", title="Mail", html="<p>{{ name }}</p>")
    return desk


async def accepted(desk: Any, **request: Any) -> Any:
    """Notify one user; gives what the pipeline gets to see."""
    (item,) = (await desk.api.result("notify", user="ann", **request))["notifications"]
    return (await desk.store.ledger.status(item["id"])).notification


async def test_a_template_is_pinned_as_it_stands(templated: Any) -> None:
    notification = await accepted(templated, template={"name": "t", "variables": {"name": "Ann", "count": 3}}, link="https://x")
    use = notification.content.template
    assert (use.name, use.version, bytes(use.variables)) == ("t", 2, b'{"name":"Ann","count":3}')
    assert (notification.content.title, notification.content.link) == ("", "https://x")
    older = await accepted(templated, template={"name": "t", "version": 1, "variables": NEEDED})
    assert older.content.template.version == 1


async def test_a_template_that_needs_nothing_needs_no_variables(desk: Any) -> None:
    await desk.put(title="Tide")
    for variables in ({}, {"variables": None}, {"variables": {}}):
        notification = await accepted(desk, template={"name": "t", **variables})
        assert notification.content.template.name == "t"


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ({"template": {"name": "other"}}, "template.name: names no template that is there"),
        ({"template": {"name": ""}}, "template.name: must be 1 to 128 letters"),
        ({"template": {}}, "template.name: must be 1 to 128 letters"),
        ({"template": {"name": "t", "version": 9}}, "template.version: names no template that is there"),
        ({"template": {"name": "t", "version": -1}}, "template.version: must be a version"),
        ({"template": {"name": "t", "locale": "de"}}, "template.locale: unknown field"),
        (
            {"template": {"name": "t"}},
            "template.variables.name: must be given: title: needs the variable 'name' (line 1) on the route live",
        ),
        ({"template": {"name": "t", "variables": []}}, "template.variables: must be a JSON object"),
        ({"template": {"name": "t", "variables": {"name": "x" * 16384}}}, "template.variables: must be at most 16384 bytes"),
        ({"template": {"name": "t", "variables": {"name": [1]}}}, "template.variables: do not fit: title: shows a list"),
        (
            {"template": {"name": "mail", "variables": NEEDED}},
            "template.name: has no text for the route live in en: add one, or name other routes",
        ),
        ({"template": {"name": "t", "variables": NEEDED}, "title": "x"}, "template: must not be given beside title and body"),
        ({"template": {"name": "t", "variables": NEEDED}, "experiment": "e"}, "experiment: must not be given without variants"),
        ({"experiment": "e", "title": "x"}, "variants: must not be given beside title and body"),
        ({}, "title: one of title, body, data, template and variants must not be empty"),
    ],
)
async def test_what_cannot_be_told_is_refused_before_it_is_stored(templated: Any, request_: dict[str, Any], rule: str) -> None:
    assert (await templated.refused("notify", user="ann", **request_)).startswith(rule)
    assert await templated.store.ledger.next_due() is None


async def test_a_deep_json_of_variables_is_refused(templated: Any) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    refused = await templated.refused("notify", user="ann", template={"name": "t", "variables": {"name": deep}})
    assert refused == "template.variables: is nested too deep"


async def test_what_is_ours_to_give_need_not_be_given(desk: Any) -> None:
    await desk.put(title="T", html="<a href='{{ unsubscribe_url }}'>x</a>")
    await accepted(desk, template={"name": "t"})
    shown = await desk.api.result("template_preview", name="t", route="email")
    assert '<a href="">x</a>' in shown["html"]


async def test_a_text_for_some_routes_serves_requests_that_name_them(templated: Any) -> None:
    notification = await accepted(templated, template={"name": "mail", "variables": NEEDED}, routes=["email"])
    assert notification.content.template.name == "mail"


async def test_an_inbox_shows_the_texts_in_the_user_s_language(templated: Any) -> None:
    await accepted(templated, template={"name": "t", "variables": NEEDED})
    await accepted(templated, title="Own")

    async def titles() -> list[str]:
        return [item["title"] for item in (await templated.api.result("inbox_list", user="ann"))["items"]]

    assert sorted(await titles()) == ["Hello Ann", "Own"]
    registration = Registration("ann", Provider.EMAIL, "ann@example.org", "email", "de-CH")
    await templated.store.devices.register(registration)
    assert sorted(await titles()) == ["Hallo Ann", "Own"]
    await templated.api.result("preferences_set", user="ann", locale="en-GB")
    assert sorted(await titles()) == ["Hello Ann", "Own"], "what they asked for goes before that"


TWO = [{"name": "a", "title": "A", "body": "one"}, {"name": "b", "weight": 3, "template": {"name": "t", "variables": NEEDED}}]


async def test_each_user_gets_a_variant_and_its_status_says_which(templated: Any) -> None:
    users = [f"user-{number}" for number in range(20)]
    made = await templated.api.result("notify", users=users, experiment="subject", variants=TWO)
    drawn = [Variant("a", 1.0), Variant("b", 3.0)]
    for item in made["notifications"]:
        status = (await templated.api.result("notification_status", id=item["id"]))["notification"]
        assert status["experiment"] == "subject"
        assert status["variant"] == assign("subject", item["user"], drawn).name
        content = (await templated.store.ledger.status(item["id"])).notification.content
        is_templated = content.template is not None
        assert (status["variant"], content.title, is_templated) in {("a", "A", False), ("b", "", True)}
    plain = await templated.api.result("notify", user="ann", title="x")
    status = await templated.api.result("notification_status", id=plain["notifications"][0]["id"])
    assert "variant" not in status["notification"]


@pytest.mark.parametrize(
    ("variants", "rule"),
    [
        ([TWO[0]], "variants: must hold 2 to 20 variants"),
        ([{"name": str(n), "title": "x"} for n in range(21)], "variants: must hold 2 to 20 variants"),
        ([TWO[0], TWO[0]], "variants[1].name: is the name of another variant"),
        ([TWO[0], {"name": "", "title": "x"}], "variants[1].name: must be 1 to 64 printable characters"),
        ([TWO[0], {"title": "x"}], "variants[1].name: must be given"),
        ([TWO[0], {"name": "b", "title": "x", "weight": -1}], "variants[1].weight: must be from 0 to 1000000"),
        ([TWO[0], {"name": "b", "title": "x", "weight": 1e7}], "variants[1].weight: must be from 0 to 1000000"),
        ([TWO[0], {"name": "b"}], "variants[1]: must have title or body, or else a template"),
        ([TWO[0], {**TWO[1], "title": "x"}], "variants[1]: must have title or body, or else a template"),
        ([TWO[0], {"name": "b", "title": "x" * 1025}], "variants[1].title: must be at most 1024 characters"),
        ([TWO[0], {"name": "b", "template": {"name": "t"}}], "variants[1].template.variables.name: must be given"),
        ([TWO[0], {"name": "b", "template": {"name": "x"}}], "variants[1].template.name: names no template"),
        ([{**TWO[0], "weight": 0}, {"name": "b", "title": "x", "weight": 0}], "variants: must have a weight above 0"),
    ],
)
async def test_variants_that_cannot_be_compared_are_refused(templated: Any, variants: Any, rule: str) -> None:
    assert (await templated.refused("notify", user="ann", experiment="e", variants=variants)).startswith(rule)
    assert await templated.store.ledger.next_due() is None


async def test_variants_need_an_experiment_and_stand_alone(templated: Any) -> None:
    rule = "experiment: must be 1 to 128 printable characters where variants are given"
    assert await templated.refused("notify", user="ann", variants=TWO) == rule
    assert await templated.refused("notify", user="ann", variants=TWO, experiment="x" * 129) == rule
    refused = await templated.refused("notify", user="ann", variants=TWO, experiment="e", template={"name": "t"})
    assert refused == "variants: must not be given beside template"


async def test_results_come_with_intervals(templated: Any) -> None:
    users = [f"user-{number}" for number in range(40)]
    made = await templated.api.result("notify", users=users, experiment="subject", variants=TWO)
    one = made["notifications"][0]
    await templated.api.result("notification_ack", id=one["id"], user=one["user"])
    status = await templated.api.result("notification_status", id=one["id"])
    results = {item["variant"]: item for item in (await templated.api.result("experiment_results", key="subject"))["variants"]}
    assert set(results) == {"a", "b"}
    assert sum(item["total"] for item in results.values()) == 40
    acked = results[status["notification"]["variant"]]
    assert (acked["acknowledged"], acked["share"]) == (1, 1.0)
    assert 0 < acked["low"] < 1 == acked["high"]
    (other,) = (item for item in results.values() if item is not acked)
    assert (other["sent"], other["share"], other["low"], other["high"]) == (0, 0.0, 0.0, 1.0)
    assert await templated.api.error("experiment_results", key="unknown") == (104, "experiment not found")
    assert await templated.api.error("experiment_results", key="") == (104, "experiment not found")


async def test_without_templates_a_request_for_one_is_refused(world: Any, api: Any, desk: Any) -> None:
    store = desk.store
    service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings())
    bare = api(world(), notification_methods(service))
    code, message = await bare.error("notify", user="ann", template={"name": "t"})
    assert (code, message) == (107, "bad request: template: templates are not available here")


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ({"name": "other"}, "digest.template.name: names no template that is there"),
        ({"name": "list"}, "digest.template.variables.name: must be given"),
        ({"name": "list", "variables": {"name": "Ann", "items": []}}, "digest.template.variables.items: must not be given"),
        ({"name": "stars", "variables": {}}, "digest.template.variables: do not fit: title: needs the member 'stars'"),
    ],
)
async def test_the_template_of_a_digest_must_fit(desk: Any, template: dict[str, Any], rule: str) -> None:
    await desk.put("list", title="{{ name }}: {{ count }}", body="{% for item in items %}{{ item.title }} {% endfor %}")
    await desk.put("stars", title="{{ items[0].data.stars }}")
    digest = {"key": "k", "window_s": 60, "template": template}
    refusal = await desk.refused("notify", user="ann", title="One", digest=digest)
    assert refusal.startswith(rule)


async def test_the_template_of_a_digest_is_pinned(templated: Any) -> None:
    await templated.put("list", title="{{ count }}", body="{% for item in items %}{{ item.title }} {% endfor %}")
    own = {"name": "t", "variables": NEEDED}
    digest = {"key": "k", "window_s": 60, "template": {"name": "list"}}
    await templated.api.result("notify", user="ann", template=own, digest=digest)
    templated.clock.move(60)
    until = templated.clock.now() + timedelta(seconds=30)
    (step,) = await templated.store.ledger.claim("w", {Lane.NORMAL: 9}, lease_until=until)
    await templated.store.ledger.record([PlanDone(step, next_plan_at=templated.clock.now(), closes=True)], [])
    (step,) = await templated.store.ledger.claim("w", {Lane.NORMAL: 9}, lease_until=until)
    content = step.notification.content
    assert (content.template.name, content.template.version) == ("list", 1)
    assert content.collected.items[0].template.name == "t"


PLAIN, BOLD, CONTROL = {"name": "plain", "title": "A"}, {"name": "bold", "title": "B"}, {"name": "control", "holdout": True}


@pytest.mark.parametrize(
    ("variants", "rule"),
    [
        ([PLAIN, CONTROL | {"title": "x"}], "variants[1].holdout: must not be given beside texts"),
        ([PLAIN | {"weight": 0}, CONTROL], "variants: must have a weight above 0 in one of them"),
    ],
)
async def test_a_control_group_is_told_nothing(desk: Any, variants: Any, rule: str) -> None:
    assert (await desk.refused("notify", user="ann", experiment="e", variants=variants)).startswith(rule)


async def test_the_control_group_is_counted(desk: Any) -> None:
    users = [f"user-{number}" for number in range(40)]
    await desk.api.result("notify", users=users, experiment="e", variants=[PLAIN, BOLD, CONTROL])
    results = await desk.api.result("experiment_results", key="e")
    by_name = {one["variant"]: one for one in results["variants"]}
    assert by_name["control"]["control"]
    assert by_name["control"]["total"] > 0
    assert "control" not in by_name["plain"]
    assert results["leader"]["p_value"] == 1.0


async def test_who_is_picked_is_told_to_everybody_from_then_on(desk: Any) -> None:
    """N-30: winner pick by hand."""
    users = [f"user-{number}" for number in range(20)]
    asked = {"users": users, "experiment": "e", "variants": [PLAIN, BOLD, CONTROL]}
    await desk.api.result("notify", **asked)
    before = await desk.api.result("experiment_results", key="e")
    assert await desk.api.result("experiment_pick", experiment="e", variant="bold") == {"picked": "bold"}
    for item in (await desk.api.result("notify", **asked))["notifications"]:
        notification = (await desk.store.ledger.status(item["id"])).notification
        assert (notification.content.title, notification.state) == ("B", "pending")
    after = await desk.api.result("experiment_results", key="e")
    assert after == before | {"picked": "bold"}, "what is told since is no part of the comparison"
    assert await desk.api.result("experiment_pick", experiment="e", variant="") == {"picked": ""}
    (item,) = (await desk.api.result("notify", **asked | {"users": users[:1]}))["notifications"]
    assert (await desk.store.ledger.status(item["id"])).notification.variant


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"experiment": "", "variant": "bold"}, "experiment: must be 1 to 128"),
        ({"experiment": "e"}, "variant: exactly one of variant and after"),
        ({"experiment": "e", "variant": "bold", "after": 9}, "variant: exactly one of variant and after"),
        ({"experiment": "e", "variant": "bold", "confidence": 0.9}, "confidence: must only be given beside after"),
        ({"experiment": "e", "variant": "other"}, "variant: must be a variant of the experiment"),
        ({"experiment": "e", "variant": "control"}, "variant: must not be the control group"),
        ({"experiment": "e", "after": 0}, "after: must be from 1"),
        ({"experiment": "e", "after": 9, "confidence": 1}, "confidence: must be from 0.5"),
    ],
)
async def test_what_cannot_be_picked_is_refused(desk: Any, asked: Any, rule: str) -> None:
    users = [f"user-{number}" for number in range(40)]
    await desk.api.result("notify", users=users, experiment="e", variants=[PLAIN, BOLD, CONTROL])
    assert (await desk.refused("experiment_pick", **asked)).startswith(rule)
    assert (await desk.api.error("experiment_pick", experiment="unknown", variant="x"))[0] == 104
