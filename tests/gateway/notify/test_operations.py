"""The methods of whoever operates the pipeline, on a real store: what they answer, and what they refuse in which words."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from broker.deletion_guards import ClosedGuard
from broker.ledger import NewSend, PlanDone, SendDone
from broker.notification import Entry, Lane, Outcome, Provider, State
from broker.store.store import open_store
from config.clock import ManualClock
from config.settings import NotificationSettings
from gateway.notify.methods import notification_methods
from gateway.notify.operations import operation_methods
from gateway.notify.service import NotificationService


class Office:
    """An API with a store behind it, whose pipeline is the test."""

    def __init__(self, api, store, clock):
        self.api, self.store, self.clock = api, store, clock

    async def result(self, method, **request):
        return await self.api.result(method, **request)

    async def message(self, method, **request):
        """The words of a refusal."""
        error = (await self.api.post(method, request)).json()["error"]
        assert error["code"] == 107
        return error["message"].removeprefix("bad request: ")

    async def fail(self, *users):
        """Notify users, and let it fail."""
        answer = await self.result("notify", users=list(users), title="Tide")
        lease_until = self.clock.now() + timedelta(seconds=30)
        steps = await self.store.ledger.claim("w", dict.fromkeys(Lane, 1000), lease_until=lease_until)
        await self.store.ledger.record([PlanDone(step, finish=State.FAILED) for step in steps], [])
        return [item["id"] for item in answer["notifications"]]

    async def state(self, id):
        return (await self.result("notification_status", id=id))["notification"]["state"]


@pytest.fixture
async def office(world, api, store_file):
    clock = ManualClock()
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings())
    made = world()
    yield Office(api(made, [*notification_methods(service), *operation_methods(store, clock)]), store, clock)
    await store.close()


async def test_letters_are_listed_with_the_reason(office):
    (id,) = await office.fail("ann")
    answer = await office.result("dead_letter_list")
    assert answer == {
        "items": [
            {
                "id": "1",
                "notification_id": id,
                "user": "ann",
                "time": office.clock.now().timestamp(),
                "reason": "failed",
                "detail": "no device and no address",
            }
        ],
        "next_cursor": "",
    }


async def test_letters_come_in_pages(office):
    await office.fail(*(f"user-{number}" for number in range(5)))
    first = await office.result("dead_letter_list", limit=3)
    second = await office.result("dead_letter_list", limit=3, cursor=first["next_cursor"])
    assert [item["id"] for item in (*first["items"], *second["items"])] == ["5", "4", "3", "2", "1"]
    assert second["next_cursor"] == ""
    assert (await office.result("dead_letter_list", since=office.clock.now().timestamp() + 1))["items"] == []


async def test_a_replay_begins_it_again_once(office):
    (id,) = await office.fail("ann")
    assert (await office.result("dead_letter_replay", ids=["1", "7"], dry_run=True))["items"][0]["result"] == "replayed"
    assert await office.state(id) == "failed"
    answer = await office.result("dead_letter_replay", ids=["1", "7"])
    assert answer == {"items": [{"id": "1", "result": "replayed"}, {"id": "7", "result": "not_found"}]}
    assert await office.state(id) == "pending"
    again = await office.result("dead_letter_replay", ids=["1"])
    assert again == {"items": [{"id": "1", "result": "already"}]}
    timeline = (await office.result("notification_status", id=id))["notification"]["steps"]
    assert [(line["outcome"], line["detail"]) for line in timeline] == [("replayed", "replay 1")]


@pytest.mark.parametrize(
    ("method", "request_", "words"),
    [
        ("dead_letter_list", {"limit": 1001}, "limit: must be from 0 to 1000"),
        ("dead_letter_list", {"provider": "fax"}, "provider: must be one of apns, fcm, webpush, email, sms, webhook"),
        ("dead_letter_list", {"reason": "bad"}, "reason: must be one of refused, gave_up, unknown, paused, failed"),
        ("dead_letter_list", {"since": -1}, "since: must be a moment in Unix seconds"),
        ("dead_letter_list", {"since": 1e18}, "since: must be a moment in Unix seconds"),
        ("dead_letter_list", {"nonsense": 1}, "nonsense: unknown field"),
        ("dead_letter_replay", {}, "ids: must be given"),
        ("dead_letter_replay", {"ids": []}, "ids: must hold 1 to 1000 ids"),
        ("dead_letter_replay", {"ids": ["1"] * 1001}, "ids: must hold 1 to 1000 ids"),
        ("dead_letter_replay", {"ids": ["1"], "extend_ttl_s": -1}, "extend_ttl_s: must be from 0 to 2592000 seconds"),
        ("deletion_guard_open", {"provider": ""}, "provider: must not be empty"),
        ("user_erase", {"user": ""}, "user: must not be empty"),
        ("user_erase", {}, "user: must be given"),
    ],
)
async def test_wrong_requests_are_refused(office, method, request_, words):
    assert await office.message(method, **request_) == words


async def test_a_user_is_erased_and_only_counts_are_told(office):
    await office.fail("ann", "ben")
    await office.result("device_register", user="ann", provider="email", token="ann@example.org")
    with capture_logs() as logs:
        answer = await office.result("user_erase", user="ann")
    assert answer == {"removed": {"dead_letters": 1, "devices": 1, "notifications": 1}}
    (line,) = [line for line in logs if line["event"] == "user.erased"]
    assert line["devices"] == 1
    assert "ann" not in str(line)
    assert (await office.result("device_list", user="ann"))["items"] == []
    assert [item["user"] for item in (await office.result("dead_letter_list"))["items"]] == ["ben"]
    assert await office.result("user_erase", user="ann") == {"removed": {}}


async def test_closed_guards_are_listed_and_opened(office):  # N-24
    now = office.clock.now()
    await office.store.deletion_guards.report("worker-1", [ClosedGuard("apns", "worker-1", now, 12)])
    item = {"provider": "apns", "worker": "worker-1", "closed_at": now.timestamp(), "kept": 12}
    assert await office.result("deletion_guard_list") == {"items": [item]}
    assert await office.result("deletion_guard_open", provider="apns") == {"num_guards": 1}
    assert await office.store.deletion_guards.report("worker-1", []) == {"apns"}


async def test_addresses_are_listed_and_taken_off(office):
    await office.result("suppression_add", provider="email", address="Ann@Example.org", reason="complaint")
    await office.result("suppression_add", provider="sms", address="+15005550006")
    answer = await office.result("suppression_list")
    now = office.clock.now().timestamp()
    assert answer["items"] == [
        {"provider": "email", "address": "ann@example.org", "reason": "complaint", "time": now, "detail": ""},
        {"provider": "sms", "address": "+15005550006", "reason": "manual", "time": now, "detail": ""},
    ]
    first = await office.result("suppression_list", limit=1)
    assert first["next_cursor"] == "email ann@example.org"
    second = await office.result("suppression_list", limit=1, cursor=first["next_cursor"])
    assert [item["provider"] for item in second["items"]] == ["sms"]
    assert second["next_cursor"] == ""
    await office.result("suppression_remove", provider="email", address="ANN@example.org")
    answer = (await office.api.post("suppression_remove", {"provider": "email", "address": "ann@example.org"})).json()
    assert answer["error"]["code"] == 104


async def test_feedback_of_a_provider_leaves_addresses_alone(office):
    (id,) = await office.fail("ann")
    events = [
        {"type": "bounce", "address": "ann@example.org", "notification_id": id, "at": office.clock.now().timestamp()},
        {"type": "unsubscribe", "address": "ben@example.org"},
    ]
    await office.result("feedback", provider="email", events=events)
    listed = (await office.result("suppression_list", provider="email"))["items"]
    assert [(item["address"], item["reason"]) for item in listed] == [
        ("ann@example.org", "bounce"),
        ("ben@example.org", "unsubscribe"),
    ]
    (line,) = (await office.result("notification_status", id=id))["notification"]["steps"]
    assert (line["outcome"], line["detail"]) == ("suppressed", "bounce told by the provider")


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("suppression_add", {"provider": "fcm", "address": "x"}, "provider: must be one of email, sms"),
        ("suppression_add", {"provider": "email", "address": "nobody"}, "address: "),
        ("suppression_add", {"provider": "email", "address": "a@example.org", "reason": "x"}, "reason: must be one of"),
        ("suppression_list", {"provider": "fcm"}, "provider: must be one of email, sms"),
        ("suppression_list", {"limit": -1}, "limit: must be from 0 to 1000"),
        ("feedback", {"provider": "email", "events": []}, "events: must hold 1 to 1000"),
        ("feedback", {"provider": "email", "events": [{"type": "bounce", "address": "x"}]}, "events[0].address: "),
        ("feedback", {"provider": "sms", "events": [{"type": "x", "address": "+15005550006"}]}, "events[0].type: must be one"),
        (
            "feedback",
            {"provider": "email", "events": [{"type": "bounce", "address": "a@example.org", "at": -1}]},
            "events[0].at: must be a moment",
        ),
    ],
)
async def test_wrong_words_on_addresses_are_refused(office, method, request_, field):
    assert (await office.message(method, **request_)).startswith(field)
    assert (await office.result("suppression_list"))["items"] == []


# Devices that were called gone (N-24)


async def gone(office, count=1, user="ann", provider=Provider.FCM):
    """Register devices, and have their provider call them gone."""
    ids = []
    for number in range(count):
        registered = await office.result(
            "device_register", user=user, provider=provider, token=TOKENS[provider].format(user=user, number=number)
        )
        ids.append(registered["id"])
    await office.result("notify", user=user, title="Tide", routes=["push"])
    lease_until, now = office.clock.now() + timedelta(seconds=30), office.clock.now()
    ledger, all_lanes = office.store.ledger, dict.fromkeys(Lane, 1000)
    (plan,) = await ledger.claim("w", all_lanes, lease_until=lease_until)
    await ledger.record([PlanDone(plan, sends=tuple(NewSend(device, now) for device in plan.devices))], [])
    steps = await ledger.claim("w", all_lanes, lease_until=lease_until)
    ended = [
        SendDone(
            step,
            Entry("push", Outcome.UNREGISTERED, now, provider, "…", step.device.id, 1, "UNREGISTERED"),
            now + timedelta(days=1),
            drop_device=now,
        )
        for step in steps
    ]
    await ledger.record([], ended)
    return ids


TOKENS = {Provider.FCM: "fcm-token-of-{user}-{number:05}", Provider.APNS: "{number:08x}" * 8}


async def test_a_device_that_was_called_gone_is_listed_and_restored(office):
    (id,) = await gone(office)
    now = office.clock.now().timestamp()
    (item,) = (await office.result("removed_device_list", user="ann"))["items"]
    assert (item["device"]["id"], item["removed_at"], item["because"]) == (id, now, "UNREGISTERED")
    assert "fcm-token-of-ann-00000" not in str(item)
    assert (await office.result("device_list", user="ann"))["items"] == []
    answer = await office.result("device_restore", user="ann", id=id)
    assert answer["device"] == item["device"]
    assert [one["id"] for one in (await office.result("device_list", user="ann"))["items"]] == [id]
    again = (await office.api.post("device_restore", {"user": "ann", "id": id})).json()
    assert again["error"] == {"code": 104, "message": "removed device not found"}


async def test_a_mass_removal_is_undone_page_by_page(office):  # N-24
    began = office.clock.now().timestamp()
    await gone(office, user="early")
    office.clock.move(60)
    for user in ("ann", "ben"):
        await gone(office, 7, user)
    await gone(office, user="eve", provider=Provider.APNS)
    wanted = {"provider": "fcm", "since": began + 60, "limit": 5}
    restored, cursor, calls = 0, "", 0
    while cursor or not calls:
        answer = await office.result("devices_restore", **wanted, cursor=cursor)
        restored, cursor, calls = restored + answer["num_restored"], answer["next_cursor"], calls + 1
        assert answer["num_restored"] <= 5
    assert (restored, calls) == (14, 3)
    left = (await office.result("removed_device_list"))["items"]
    assert [one["device"]["user"] for one in left] == ["early", "eve"]
    assert [one["device"]["user"] for one in (await office.result("removed_device_list", until=began + 1))["items"]] == [
        "early"
    ]
    assert (await office.result("removed_device_list", app="kiosk"))["items"] == []


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("device_restore", {"user": "", "id": "x"}, "user: must not be empty"),
        ("device_restore", {"user": "ann"}, "id: must be given"),
        ("devices_restore", {"provider": "apns"}, "since: must be given"),
        ("devices_restore", {"provider": "apns", "since": 0}, "since: must be given"),
        ("devices_restore", {"provider": "", "since": 1}, "provider: must not be empty"),
        ("devices_restore", {"provider": "fax", "since": 1}, "provider: must be one of apns"),
        ("devices_restore", {"provider": "apns", "since": 1, "until": 1e18}, "until: must be a moment"),
        ("devices_restore", {"provider": "apns", "since": 1, "limit": 1001}, "limit: must be from 0 to 1000"),
        ("devices_restore", {"provider": "apns", "since": 1, "cursor": "x"}, "cursor: must be the next_cursor"),
        ("removed_device_list", {"provider": "fax"}, "provider: must be one of apns"),
        ("removed_device_list", {"since": -1}, "since: must be a moment"),
        ("removed_device_list", {"limit": -1}, "limit: must be from 0 to 1000"),
    ],
)
async def test_wrong_words_on_removed_devices_are_refused(office, method, request_, field):
    assert (await office.message(method, **request_)).startswith(field)


# The status webhook (N-28)


async def test_a_status_webhook_that_is_off_says_why_and_is_switched_on(office):
    switch = office.store.webhook_switch
    assert await office.result("status_webhook_info") == {"enabled": False}, "none is set"
    await switch.begin("settings")
    assert await office.result("status_webhook_info") == {"enabled": True}
    began = office.clock.now().timestamp()
    for _ in range(4):
        await switch.failed("status 503", disable_after_s=3 * 86400.0, gap_s=86400.0)
        office.clock.move(86400.0)
    told = {"failing_since": began, "cause": "status 503", "disabled_at": began + 3 * 86400}
    assert await office.result("status_webhook_info") == {"enabled": False, **told}
    with capture_logs() as logs:
        assert await office.result("status_webhook_enable") == {"was_disabled": True}
        assert await office.result("status_webhook_enable") == {"was_disabled": False}
    assert [line["event"] for line in logs].count("status_webhook.enabled") == 1
    assert await office.result("status_webhook_info") == {"enabled": True}
