"""When and how somebody is told, as requests ask for it over the API and over RPC."""

from datetime import timedelta

import pytest

from broker.errors import BadInput
from config.operation_settings import HabitSettings
from config.settings import NotificationSettings
from gateway.notify.draft import draft_of
from gateway.notify.messages import NotifyRequest
from gateway.notify.policy_messages import HabitItem

HOURS = {"from": "22:00", "to": "07:00", "timezone": "Europe/Berlin"}
AFAR = 4102444800
PAGER = "https://pager.example.org/ann"


async def test_quiet_hours_and_the_rest_are_kept_and_taken_back(desk):
    asked = {"quiet_hours": HOURS, "snooze_until": "2100-01-01T00:00:00Z", "routing": {"routes": [["live", "push"], "email"]}}
    result = await desk.api.result("preferences_set", user="42", **asked)
    assert result == {
        "preferences": [],
        "quiet_hours": HOURS,
        "snoozed_until": AFAR,
        "routing": {"routes": [["live", "push"], "email"]},
    }
    result = await desk.api.result("preferences_set", user="42", snooze_until=None, routing=None, timezone="Asia/Tokyo")
    assert result == {"preferences": [], "quiet_hours": HOURS, "timezone": "Asia/Tokyo"}
    assert await desk.api.result("preferences_get", user="42") == result


async def test_quiet_hours_have_weekdays_and_priorities_that_pass(desk):
    asked = {**HOURS, "days": ["sun", "mon"], "ignored_by": ["high", "critical"]}
    result = await desk.api.result("preferences_set", user="42", quiet_hours=asked)
    assert result["quiet_hours"] == {**HOURS, "days": ["mon", "sun"], "ignored_by": ["critical", "high"]}
    result = await desk.api.result("preferences_set", user="42", quiet_hours={**HOURS, "ignored_by": []})
    assert result["quiet_hours"] == {**HOURS, "ignored_by": []}


async def test_a_language_is_kept_in_its_one_form_and_taken_back(desk):
    assert (await desk.api.result("preferences_set", user="42", locale="pt_br"))["locale"] == "pt-BR"
    assert await desk.api.result("preferences_set", user="42", locale="") == {"preferences": []}


async def test_ways_by_category_are_kept_one_by_one(desk):
    asked = {"orders": {"routes": ["push", "email"], "waits": {"push": 60}}, "news": {"devices": "most_recent"}}
    result = await desk.api.result("preferences_set", user="42", routing_by_category=asked)
    assert result == {"preferences": [], "routing_by_category": {"news": asked["news"], "orders": asked["orders"]}}
    result = await desk.api.result(
        "preferences_set", user="42", routing_by_category={"orders": None, "x": {"routes": ["live"]}}
    )
    assert result["routing_by_category"] == {"news": asked["news"], "x": {"routes": ["live"]}}
    await desk.api.result("preferences_set", user="42", routing_by_category={"news": None, "x": None})
    assert await desk.api.result("preferences_get", user="42") == {"preferences": []}


async def test_ways_that_are_all_switched_off_are_refused(desk):
    off = [{"category": "orders", "route": route, "enabled": False} for route in ("push", "email")]
    await desk.api.result("preferences_set", user="42", preferences=off[:1])
    for asked in ({"routes": ["push"]}, {"routes": [["push", "email"]]}):
        ways = {"preferences": off[1:], "routing_by_category": {"orders": asked}}
        code, message = await desk.api.error("preferences_set", user="42", **ways)
        assert (code, message.split(": ")[1]) == (107, "routing_by_category.orders.routes")
    await desk.api.result("preferences_set", user="42", routing_by_category={"orders": {"routes": ["push", "email"]}})
    everything = [{"category": "*", "route": "*", "enabled": False}]
    code, message = await desk.api.error("preferences_set", user="42", preferences=everything, routing={"routes": ["live"]})
    assert (code, message.split(": ")[1]) == (107, "routing.routes")


async def test_quiet_hours_without_a_zone_are_those_of_the_newest_device(desk):
    for provider, token, zone in (("email", "a@example.org", "Asia/Tokyo"), ("fcm", "t" * 40, "Europe/Paris")):
        await desk.api.result("device_register", user="42", provider=provider, token=token, timezone=zone)
        desk.world.clock.move(1)
    asked = {"from": "22:00", "to": "07:00"}
    result = await desk.api.result("preferences_set", user="42", quiet_hours=asked)
    assert result["quiet_hours"]["timezone"] == "Europe/Paris"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"quiet_hours": {**HOURS, "to": "22:00"}}, "quiet_hours.to"),
        ({"quiet_hours": {**HOURS, "from": "25:00"}}, "quiet_hours.from"),
        ({"quiet_hours": {**HOURS, "timezone": "Mars/Olympus"}}, "quiet_hours.timezone"),
        ({"quiet_hours": {**HOURS, "days": []}}, "quiet_hours.days"),
        ({"quiet_hours": {**HOURS, "days": ["mon", "funday"]}}, "quiet_hours.days[1]"),
        ({"quiet_hours": {**HOURS, "ignored_by": ["urgent"]}}, "quiet_hours.ignored_by[0]"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"locale": "not a locale"}, "locale"),
        ({"locale": "x" * 36}, "locale"),
        ({"snooze_until": "tomorrow"}, "snooze_until"),
        ({"snooze_until": "2100-01-01T00:00:00"}, "snooze_until"),
        ({"routing": {"routes": ["live", "live"]}}, "routing.routes"),
        ({"routing_by_category": {"a": {"routes": ["live", "live"]}}}, "routing_by_category.a.routes"),
        ({"routing_by_category": {"a": {"routes": ["live"], "waits": {"push": 3}}}}, "routing_by_category.a.waits.push"),
        ({"routing_by_category": {"*": {"routes": ["live"]}}}, "routing_by_category"),
        ({"routing_by_category": {"": {"routes": ["live"]}}}, "routing_by_category"),
        ({"routing_by_category": {f"c{n}": {"routes": ["live"]} for n in range(101)}}, "routing_by_category"),
        ({"preferences": [{"category": "a", "route": "push", "enabled": False, "until": "x"}]}, "preferences[0].until"),
    ],
)
async def test_wrong_rules_are_refused_by_name(desk, asked, field):
    code, message = await desk.api.error("preferences_set", user="42", **asked)
    assert (code, message.split(": ")[1]) == (107, field)


async def test_what_is_told_by_habit_says_until_when_and_what_else(desk):  # N-30
    now = desk.world.clock.now()
    latest = now + timedelta(days=2)
    asked = {"send_by_habit": {"latest": latest.isoformat()}, "send_at_local": "09:00", "ttl_s": 60}
    (one,) = (await desk.api.result("notify", user="42", title="Hi", **asked))["notifications"]
    kept = (await desk.api.result("notification_status", id=one["id"]))["notification"]
    assert kept["expires_at"] == (latest + timedelta(seconds=60)).timestamp()
    assert (await desk.api.result("inbox_list", user="42"))["items"] == [], "it arrives when it is told"


def test_habits_that_are_not_kept_cannot_be_gone_by():
    request = NotifyRequest(user="42", title="Hi", send_by_habit=HabitItem())
    with pytest.raises(BadInput, match=r"send_by_habit.*not enabled"):
        draft_of(request, NotificationSettings(), "")
    kept = draft_of(request, NotificationSettings(habits=HabitSettings(enabled=True)), "")
    assert (kept.terms.by_habit, kept.terms.latest) == (True, None)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"send_at": 1000000000}, "send_at"),
        ({"send_at": AFAR}, "send_at"),
        ({"send_at": "soon"}, "send_at"),
        ({"send_at": 1e300}, "send_at"),
        ({"send_at_local": "9:00"}, "send_at_local"),
        ({"send_at": AFAR, "send_at_local": "09:00"}, "send_at_local"),
        ({"send_by_habit": {"latest": "soon"}}, "send_by_habit.latest"),
        ({"send_by_habit": {"latest": 1000000000}}, "send_by_habit.latest"),
        ({"send_by_habit": {"latest": AFAR}}, "send_by_habit.latest"),
        ({"send_by_habit": {"latest": 1767225700}, "send_at": 1767225800}, "send_by_habit.latest"),
        ({"send_by_habit": {}, "digest": {"key": "a", "window_s": 60}}, "digest"),
        ({"send_by_habit": {}, "priority": "critical", "escalate": {"after_s": 60, "to_user": "b"}}, "escalate"),
        ({"digest": {"key": "", "window_s": 60}}, "digest.key"),
        ({"digest": {"key": "a", "window_s": 0}}, "digest.window_s"),
        ({"digest": {"key": "a", "window_s": 60}, "ttl_s": 60}, "digest.window_s"),
        ({"digest": {"key": "a"}}, "digest.window_s"),
        ({"digest": {"key": "a", "window_s": 60, "at": ["09:00"]}}, "digest.at"),
        ({"digest": {"key": "a", "at": []}}, "digest.at"),
        ({"digest": {"key": "a", "at": ["09:00", "9:30"]}}, "digest.at[1]"),
        ({"digest": {"key": "a", "at": ["09:00", "09:00"]}}, "digest.at"),
        ({"digest": {"key": "a", "at": ["09:00"], "longest_s": 60}}, "digest.longest_s"),
        ({"digest": {"key": "a", "window_s": 60, "longest_s": 59}}, "digest.longest_s"),
        ({"digest": {"key": "a", "window_s": 60, "longest_s": 90}, "ttl_s": 90}, "digest.longest_s"),
        ({"digest": {"key": "a", "window_s": 60, "title": "x", "template": {"name": "t"}}}, "digest.title"),
        ({"digest": {"key": "a", "window_s": 60}, "priority": "critical"}, "digest"),
        ({"digest": {"key": "a", "window_s": 60}, "send_at_local": "09:00"}, "digest"),
        ({"dedup_window_s": 0}, "dedup_window_s"),
        ({"dedup_window_s": 8 * 86400}, "dedup_window_s"),
        ({"supersede": True}, "supersede"),
        ({"escalate": {"after_s": 60, "to_user": "boss"}}, "escalate"),
        ({"escalate": {"after_s": 0, "to_user": "boss"}, "priority": "critical"}, "escalate.after_s"),
        ({"escalate": {"after_s": 60, "to_user": "42"}, "priority": "critical"}, "escalate.to_user"),
        ({"escalate": {"after_s": 60, "to_user": "b", "routes": []}, "priority": "critical"}, "escalate.routes"),
        ({"escalate": {"after_s": 60}, "priority": "critical"}, "escalate.to_user"),
        ({"escalate": {"after_s": 60, "to_user": "b", "to_url": PAGER}, "priority": "critical"}, "escalate.to_url"),
        ({"escalate": {"after_s": 60, "to_url": PAGER, "routes": ["sms"]}, "priority": "critical"}, "escalate.routes"),
        ({"escalate": {"after_s": 60, "to_url": PAGER}, "priority": "critical", "send_at_local": "09:00"}, "escalate"),
        *(
            ({"escalate": {"after_s": 60, "to_url": url}, "priority": "critical"}, "escalate.to_url")
            for url in (
                "http://x.org/",
                "https://127.0.0.1/",
                "https://[::1]/",
                "https://a@x.org/",
                "https://db.internal/",
                "x",
            )
        ),
        ({"routes": [["push", "live"], "live"]}, "routes"),
        ({"routes": ["push"], "waits": {"email": 3}}, "waits.email"),
        ({"ack_wait_s": 3, "waits": {"live": 3}}, "waits.live"),
        ({"routes": ["live"], "stop_on": "accepted"}, "stop_on"),
        ({"devices": "some"}, "devices"),
    ],
)
async def test_contradictions_are_refused_by_name(desk, asked, field):
    code, message = await desk.api.error("notify", user="42", title="Hello", **asked)
    assert (code, message.split(": ")[1]) == (107, field)


async def test_what_is_to_be_sent_later_is_pending(desk):
    later = (desk.world.clock.now().timestamp() + 3600) // 1
    assert await desk.state(await desk.notify(send_at=later)) == "pending"
    assert await desk.state(await desk.notify(digest={"key": "posts", "window_s": 60})) == "pending"


async def test_the_same_is_told_once_and_a_newer_one_takes_its_place(desk):
    first = await desk.notify(body="1:0", collapse_key="match", dedup_window_s=60)
    assert await desk.notify(body="1:0", collapse_key="match", dedup_window_s=60) == first
    await desk.notify(body="2:0", collapse_key="match", supersede=True)
    newest = await desk.notify(body="3:0", collapse_key="match", supersede=True)
    assert await desk.state(newest) == "pending"
    items = (await desk.api.result("inbox_list", user="42"))["items"]
    assert [item["body"] for item in items] == ["3:0", "1:0"], "only what asked to be superseded is"


async def test_an_escalation_may_call_an_address(desk):
    asked = {"priority": "critical", "escalate": {"after_s": 60, "to_url": PAGER}}
    assert await desk.state(await desk.notify(**asked)) == "pending"


async def test_a_user_cannot_turn_to_routes_that_cost_money(desk):
    client = desk.world.connected("42")
    reply = await desk.rpc(client, "preferences.set", routing={"routes": ["live", ["push", "sms"]]})
    assert reply["error"]["code"] == 107
    assert "routing.routes" in reply["error"]["message"]
    reply = await desk.rpc(client, "preferences.set", routing_by_category={"a": None, "b": {"routes": ["webhook"]}})
    assert "routing_by_category.b.routes" in reply["error"]["message"]
    reply = await desk.rpc(client, "preferences.set", quiet_hours=HOURS)
    assert reply == {"rpc": {"data": {"preferences": [], "quiet_hours": HOURS}}}
