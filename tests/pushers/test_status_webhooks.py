"""Status webhooks: signed, repeated, in order, and given up after a day (N-28)."""

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from broker.notification import Outcome, State
from broker.status_events import PendingEvent
from broker.webhook_switch import WebhookState
from config.operation_settings import STATUS_EVENTS, StatusWebhookSettings
from pushers.status_webhooks import Answer, StatusWebhooks, sign

SETTINGS = StatusWebhookSettings(url="https://app.example.org/hook", secrets=("new", "old"))


class Events:
    """The port StatusEvents: what is due now, and what became of it."""

    def __init__(self, clock):
        self.clock, self.due = clock, []
        self.delivered, self.retried, self.given_up, self.leases = [], [], [], []

    def add(self, count=1, attempt=1, age_s=0.0):
        for _ in range(count):
            number = len(self.due)
            created_at = self.clock.now() - timedelta(seconds=age_s)
            self.due.append(PendingEvent(number, "lease", attempt, created_at, b'{"id":"e%d"}' % number))

    async def claim(self, *, limit, lease_until):
        self.leases.append(lease_until)
        claimed, self.due = self.due[:limit], self.due[limit:]
        return claimed

    async def give_up(self, *, due_before, limit):
        old = [event for event in self.due if event.created_at < due_before][:limit]
        self.due = [event for event in self.due if event not in old]
        return len(old)

    async def settle(self, *, delivered=(), retried=(), given_up=()):
        self.delivered += [event.number for event in delivered]
        self.retried += [(event.number, due_at) for event, due_at in retried]
        self.given_up += [event.number for event in given_up]


class Switch:
    """The port WebhookSwitch: what processes and operators share."""

    def __init__(self, clock):
        self.clock, self.shared, self.fingerprints, self.calls = clock, WebhookState(), [], []

    async def begin(self, fingerprint):
        self.fingerprints.append(fingerprint)
        return self.shared

    async def state(self):
        self.calls.append("state")
        return self.shared

    async def failed(self, cause, *, disable_after_s, gap_s):
        self.calls.append("failed")
        since = self.shared.failing_since or self.clock.now()
        is_long = self.clock.now() - since >= timedelta(seconds=disable_after_s)
        self.shared = WebhookState(since, self.clock.now() if is_long else None, cause)
        self.asked = (disable_after_s, gap_s)
        return self.shared

    async def succeeded(self):
        self.calls.append("succeeded")
        self.shared = WebhookState()


class Receiver:
    """The application's side: answers as told, else 204."""

    def __init__(self):
        self.requests, self.answers, self.rejects = [], [], set()

    async def __call__(self, headers, body):
        self.requests.append((headers, body))
        if self.answers:
            return self.answers.pop(0)
        ids = {event["id"] for event in json.loads(body)["events"]}
        return Answer(422) if ids & self.rejects else Answer(204)


@pytest.fixture
def events(clock):
    return Events(clock)


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def counts():
    return []


@pytest.fixture
def switch(clock):
    return Switch(clock)


@pytest.fixture
def webhooks(events, switch, receiver, clock, counts):
    def count(outcome, number):
        counts.append((outcome, number))

    return StatusWebhooks(events, switch, receiver, SETTINGS, clock, count=count)


async def test_events_travel_together_and_signed_with_every_secret(webhooks, events, receiver, clock, counts):
    events.add(3)
    assert await webhooks.work() == 0.0
    [(headers, body)] = receiver.requests
    assert json.loads(body) == {"events": [{"id": "e0"}, {"id": "e1"}, {"id": "e2"}]}
    timestamp = headers["heliograph-timestamp"]
    assert timestamp == str(int(clock.now().timestamp()))
    expected = [
        "v1=" + hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest() for secret in (b"new", b"old")
    ]
    assert headers["heliograph-signature"] == ",".join(expected)
    assert (events.delivered, events.retried, counts) == ([0, 1, 2], [], [("delivered", 3)])
    assert await webhooks.work() == 1.0, "nothing is left"


def test_the_signature_is_the_one_that_receivers_are_told_to_make():
    assert sign(["k"], 1767225600, b"{}") == f"v1={hmac.new(b'k', b'1767225600.{}', 'sha256').hexdigest()}"


@pytest.mark.parametrize("answer", [Answer(500), Answer(0, "no connection"), Answer(404), Answer(401), Answer(301)])
async def test_what_is_not_taken_comes_again_later_and_later(webhooks, events, receiver, clock, answer):
    waits = []
    for attempt in (1, 2, 3, 12, 40):
        events.add(2, attempt=attempt)
        receiver.answers = [answer]
        await webhooks.work()
        assert len(receiver.answers) == 0
        waits.append((events.retried[-1][1] - clock.now()).total_seconds())
    for wait, ceiling in zip(waits, (5, 10, 20, 3600, 3600), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert events.given_up == []


async def test_the_receivers_own_word_is_obeyed(webhooks, events, receiver, clock):
    events.add()
    receiver.answers = [Answer(429, after_s=120.0)]
    await webhooks.work()
    assert events.retried == [(0, clock.now() + timedelta(seconds=120))]


async def test_while_it_fails_it_is_asked_more_and_more_rarely(webhooks, events, receiver):  # L-15
    receiver.answers = [Answer(503)] * 9
    pauses = []
    for _ in range(9):
        events.add()
        pauses.append(await webhooks.work())
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    events.add()
    assert await webhooks.work() == 0.0


async def test_one_that_cannot_be_read_holds_back_no_other(webhooks, events, receiver):
    events.add(4)
    receiver.rejects = {"e2"}
    assert await webhooks.work() == 0.0
    assert len(receiver.requests) == 5
    assert events.delivered == [0, 1, 3]
    assert [number for number, _ in events.retried] == [2]


async def test_a_receiver_that_goes_away_in_between_leaves_the_rest_for_later(webhooks, events, receiver):
    events.add(4)
    receiver.answers = [Answer(400), Answer(200), Answer(0, "no answer")]
    assert await webhooks.work() == 1.0
    assert events.delivered == [0]
    assert [number for number, _ in events.retried] == [1, 2, 3]


async def test_after_a_day_it_is_given_up(webhooks, events, receiver, counts):
    events.add(attempt=30, age_s=86400)
    events.add(attempt=30, age_s=86399)
    receiver.answers = [Answer(503)]
    await webhooks.work()
    assert events.given_up == [0]
    assert [number for number, _ in events.retried] == [1]
    assert counts == [("retried", 1), ("given_up", 1)]


async def test_the_lease_outlasts_a_request_for_each_event(webhooks, events, clock):
    await webhooks.work()
    assert events.leases == [clock.now() + timedelta(seconds=10 * 102)]


# Switched off after days of failure


async def test_after_three_days_of_failure_it_is_switched_off_and_says_so(webhooks, events, receiver, switch, clock):  # L-15
    receiver.answers = [Answer(503)] * 100
    for _ in range(7):
        assert not webhooks.is_disabled
        assert webhooks.concern == ""
        events.add()
        with capture_logs() as logs:
            await webhooks.work()
        clock.move(43_200)
    assert switch.asked == (259_200, 86_400)
    assert webhooks.is_disabled
    assert webhooks.concern == (
        "the status webhook is off since 2026-01-04T00:00:00Z, after status 503: status_webhook_enable switches it on"
    )
    (line,) = [line for line in logs if line["event"] == "status_webhook.disabled"]
    assert (line["log_level"], line["cause"]) == ("error", "status 503")
    asked = len(receiver.requests)
    events.add()
    assert await webhooks.work() == 5.0
    assert len(receiver.requests) == asked, "nobody is called while it is off"


async def test_while_it_is_off_what_grows_too_old_is_given_up_and_the_rest_waits(webhooks, events, receiver, switch, counts):
    switch.shared = WebhookState(switch.clock.now(), switch.clock.now(), "no answer")
    events.add(600, age_s=86_401)
    events.add(3, age_s=86_399)
    assert await webhooks.work() == 1.0, "a piece at a time"
    assert await webhooks.work() == 5.0
    assert counts == [("given_up", 500), ("given_up", 100)]
    assert len(events.due) == 3
    assert receiver.requests == []


async def test_switched_on_elsewhere_it_goes_on_within_seconds(webhooks, events, switch, clock):
    switch.shared = WebhookState(clock.now(), clock.now(), "no answer")
    events.add()
    pause_s = await webhooks.work()
    assert webhooks.is_disabled
    switch.shared = WebhookState()
    clock.move(pause_s)
    assert await webhooks.work() == 0.0
    assert events.delivered == [0]
    assert webhooks.concern == ""


async def test_switched_off_elsewhere_it_stops_within_seconds(webhooks, events, switch, clock, receiver):
    await webhooks.work()
    switch.shared = WebhookState(clock.now(), clock.now(), "no answer")
    clock.move(5.0)
    events.add()
    await webhooks.work()
    assert receiver.requests == []


async def test_the_switch_is_not_touched_while_all_goes_well(webhooks, events, switch, clock):
    for _ in range(10):
        events.add(3)
        await webhooks.work()
        clock.move(1.0)
    assert set(switch.calls) == {"state"}
    assert len(switch.calls) <= 2


async def test_one_that_is_taken_after_failures_is_told_once(webhooks, events, switch, receiver):
    receiver.answers = [Answer(503), Answer(503)]
    for _ in range(5):
        events.add()
        await webhooks.work()
    assert switch.calls == ["failed", "failed", "succeeded"]


@pytest.mark.parametrize(("rejects", "told"), [({"e0", "e1"}, "failed"), ({"e0"}, None)])
async def test_a_receiver_that_takes_nothing_at_all_fails_whatever_its_reason(
    webhooks, events, switch, receiver, rejects, told
):
    events.add(2)
    receiver.rejects = rejects
    await webhooks.work()
    assert switch.calls == ([told] if told else [])


async def test_other_settings_of_it_are_known_from_these(events, switch, receiver, clock):
    def begin(**more):
        return StatusWebhooks(events, switch, receiver, SETTINGS.model_copy(update=more), clock).work()

    for more in ({}, {"batch_size": 7}, {"url": "https://b.example"}, {"secrets": (SecretStr("x"),)}, {"ca_file": "/ca"}):
        await begin(**more)
    same, also_same, *others = switch.fingerprints
    assert same == also_same
    assert len({same, *others}) == 4
    assert not any("new" in told or "example" in told for told in switch.fingerprints)


def test_nothing_is_chosen_without_an_address():
    assert StatusWebhookSettings().chosen == frozenset()
    assert {"delivery.accepted", "notification.acknowledged"} < SETTINGS.chosen < frozenset(STATUS_EVENTS)
    chosen = StatusWebhookSettings(url="https://a.example", secrets=("k",), events=("delivery.retry",)).chosen
    assert chosen == {"delivery.retry"}


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"url": "https://a.example"}, "a url needs secrets"),
        ({"url": "https://a.example", "secrets": ("",)}, "a url needs secrets"),
        ({"events": ("delivery.seen",)}, "must be of delivery.published"),
    ],
)
def test_settings_that_cannot_work_are_refused(more, rule):
    with pytest.raises(ValidationError, match=rule):
        StatusWebhookSettings(**more)


def test_every_event_that_can_be_chosen_can_happen():
    possible = {f"delivery.{outcome}" for outcome in Outcome} | {f"notification.{state}" for state in State}
    assert set(STATUS_EVENTS) <= possible
