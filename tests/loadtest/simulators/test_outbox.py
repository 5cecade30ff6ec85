"""The ring of accepted deliveries."""

import asyncio

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from config.clock import ManualClock
from loadtest.simulators.outbox import Item, Outbox


def record(outbox: Outbox, notification_id: str, address: str = "a", provider: str = "fcm") -> None:
    outbox.record(provider, address, title="T", body="B", notification_id=notification_id)  # type: ignore[arg-type]


def test_items_are_stamped_in_milliseconds() -> None:
    clock = ManualClock()
    outbox = Outbox(clock)
    clock.move(0.1234567)
    record(outbox, "n1")
    (item,) = outbox.items()
    assert item.at == 1767225600.123


def test_an_item_always_shows_its_six_fields() -> None:
    outbox = Outbox(ManualClock())
    outbox.record("email", "a@x", title="", body="", notification_id="")
    assert msgspec.to_builtins(outbox.items()[0]) == {
        "provider": "email",
        "address": "a@x",
        "title": "",
        "body": "",
        "notification_id": "",
        "at": 1767225600.0,
    }


def test_filters() -> None:
    outbox = Outbox(ManualClock())
    for notification_id, provider in (("n1", "fcm"), ("n2", "fcm"), ("n1", "apns")):
        record(outbox, notification_id, provider=provider)
    assert [item.provider for item in outbox.items(notification_id="n1")] == ["fcm", "apns"]
    assert [item.notification_id for item in outbox.items(provider="fcm")] == ["n1", "n2"]
    assert outbox.items(notification_id="n2", provider="apns") == []
    assert outbox.items(notification_id="unknown") == []


def test_what_is_recorded_unread_is_read_once_when_asked_for() -> None:
    outbox, reads = Outbox(ManualClock()), []

    def read() -> dict[str, str]:
        reads.append(1)
        return {"title": "T", "body": "B", "notification_id": "n1"}

    outbox.record_unread("email", "a@x", "n1", read)
    assert (len(outbox), reads) == (1, [])
    assert [(item.title, item.at) for item in outbox.items(notification_id="n1")] == [("T", 1767225600.0)]
    assert outbox.items() == outbox.items(provider="email")
    assert reads == [1]


def test_what_is_recorded_unread_may_say_itself_which_notification_it_is_of() -> None:
    outbox = Outbox(ManualClock(), capacity=2)
    for number in range(3):
        content = {"title": "T", "body": "B", "notification_id": f"n{number}"}
        outbox.record_unread("webpush", "a", None, content.copy)
    assert [item.notification_id for item in outbox.items(notification_id="n2")] == ["n2"]
    assert [item.notification_id for item in outbox.items()] == ["n1", "n2"]
    record(outbox, "n3")
    assert [item.notification_id for item in outbox.items()] == ["n2", "n3"]


def test_it_holds_far_more_than_twenty_thousand() -> None:
    outbox = Outbox(ManualClock())
    for number in range(20_001):
        record(outbox, str(number))
    assert len(outbox) == 20_001
    assert outbox.items()[0].notification_id == "0"


async def test_until_waits_for_the_delivery() -> None:
    outbox = Outbox(ManualClock())
    record(outbox, "n1")
    waiting = asyncio.ensure_future(outbox.until(lambda items: len(items) == 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    record(outbox, "n2")
    assert [item.notification_id for item in await waiting] == ["n1", "n2"]


async def test_until_returns_at_once_what_holds_already() -> None:
    assert await Outbox(ManualClock()).until(lambda items: not items) == []


class OutboxMachine(RuleBasedStateMachine):
    """A ring of four agrees with the last four of a list, whatever is recorded and cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(ManualClock(), capacity=4)
        self.model: list[str] = []
        self.recorded = 0

    @rule(notification_id=st.sampled_from(["n1", "n2", ""]))
    def record(self, notification_id: str) -> None:
        record(self.outbox, notification_id)
        self.model = [*self.model, notification_id][-4:]
        self.recorded += 1

    @rule(notification_id=st.sampled_from(["n1", "n2", ""]))
    def record_unread(self, notification_id: str) -> None:
        self.outbox.record_unread("email", "a", notification_id, lambda: {"title": "T", "body": "B", "notification_id": "?"})
        self.model = [*self.model, notification_id][-4:]
        self.recorded += 1

    @rule()
    def clear(self) -> None:
        self.outbox.clear()
        self.model = []

    @invariant()
    def agrees(self) -> None:
        def ids(items: list[Item]) -> list[str]:
            return [item.notification_id for item in items]

        assert ids(self.outbox.items()) == self.model
        assert len(self.outbox) == len(self.model)
        assert self.outbox.recorded == self.recorded
        for name in ("n1", "n2", "", "n3"):
            assert ids(self.outbox.items(notification_id=name)) == [known for known in self.model if known == name]


OutboxMachine.TestCase.settings = settings(deadline=None, max_examples=60)
TestOutboxMachine = OutboxMachine.TestCase
