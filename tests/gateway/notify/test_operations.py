"""The methods of whoever operates the pipeline, on a real store: what they answer, and what they refuse in which words."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from broker.deletion_guards import ClosedGuard
from broker.ledger import PlanDone
from broker.notification import Lane, State
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
async def office(world, api, tmp_path):
    clock = ManualClock()
    store = await open_store(f"sqlite:///{tmp_path}/store.db", clock=clock)
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
