"""The suppression list on every database, and what it keeps from being sent."""

from datetime import timedelta
from typing import Any

import pytest

from broker.devices import Registration
from broker.ledger import NewSend, PlanDone, SendDone, Step
from broker.notification import Entry, Outcome, Provider
from broker.store.store import Store
from broker.suppression import Feedback, Suppressed, SuppressionReason
from config.clock import ManualClock

MAIL = "ann@example.org"


def listed(clock: ManualClock, address: str = MAIL, reason: SuppressionReason = SuppressionReason.BOUNCE) -> Suppressed:
    return Suppressed(Provider.EMAIL, address, reason, clock.now())


async def send(store: Store, pipeline: Any, make_draft: Any, provider: Provider, token: str) -> Step:
    """Have a notification of ann's sent to an address; the claimed send."""
    device = await store.devices.register(Registration("ann", provider, token))
    await store.ledger.accept(make_draft())
    plan = await pipeline.claim_one()
    await store.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
    (step,) = await pipeline.claim()
    return step


async def test_the_list_keeps_first_reasons_and_comes_in_pages(store: Store, clock: ManualClock) -> None:
    for number in range(5):
        await store.suppression.add([Feedback(listed(clock, f"user-{number}@example.org"))])
    again = listed(clock, "user-0@example.org", SuppressionReason.MANUAL)
    await store.suppression.add([Feedback(again)])
    first = await store.suppression.find("email", limit=3)
    second = await store.suppression.find(after=f"email {first[-1].address}", limit=3)
    assert [one.address for one in (*first, *second)] == [f"user-{number}@example.org" for number in range(5)]
    assert first[0] == listed(clock, "user-0@example.org")
    assert await store.suppression.find("sms", limit=3) == []
    assert await store.suppression.remove(Provider.EMAIL, "user-0@example.org")
    assert not await store.suppression.remove(Provider.EMAIL, "user-0@example.org")
    assert not await store.suppression.remove(Provider.EMAIL, "a\0b")


async def test_a_send_to_a_listed_address_says_so(store: Store, clock: ManualClock, pipeline: Any, make_draft: Any) -> None:
    await store.suppression.add([Feedback(listed(clock))])
    step = await send(store, pipeline, make_draft, Provider.EMAIL, "Ann@Example.org")
    assert step.suppressed == "bounce"


async def test_a_plan_knows_which_of_its_devices_are_left_alone(
    store: Store, clock: ManualClock, pipeline: Any, make_draft: Any
) -> None:
    await store.suppression.add([Feedback(listed(clock))])
    addresses = [(Provider.EMAIL, "Ann@Example.org"), (Provider.EMAIL, "ben@example.org"), (Provider.FCM, MAIL)]
    mine, *_ = [await store.devices.register(Registration("ann", provider, token)) for provider, token in addresses]
    await store.ledger.accept(make_draft())
    assert (await pipeline.claim_one()).left_alone == {mine.id}


@pytest.mark.parametrize(("provider", "token"), [(Provider.EMAIL, "ben@example.org"), (Provider.FCM, MAIL)])
async def test_no_other_does(
    store: Store, clock: ManualClock, pipeline: Any, make_draft: Any, provider: Provider, token: str
) -> None:
    await store.suppression.add([Feedback(listed(clock))])
    assert (await send(store, pipeline, make_draft, provider, token)).suppressed == ""


async def test_a_mailbox_that_is_unknown_is_left_alone_for_good(
    store: Store, clock: ManualClock, pipeline: Any, make_draft: Any
) -> None:
    step = await send(store, pipeline, make_draft, Provider.EMAIL, "Ann@example.org")
    entry = Entry(
        "email", Outcome.UNREGISTERED, clock.now(), "email", "…", step.device.id if step.device else "", 1, "550 5.1.1"
    )
    await store.ledger.record([], [SendDone(step, entry, clock.now(), drop_device=clock.now())])
    (one,) = await store.suppression.find(limit=10)
    assert one == Suppressed(Provider.EMAIL, MAIL, SuppressionReason.BOUNCE, clock.now(), "550 5.1.1")
    assert await store.devices.of_user("ann") == []
    await pipeline.claim()
    assert (await send(store, pipeline, make_draft, Provider.EMAIL, MAIL)).suppressed == "bounce"
    assert (await store.erasure.erase("ann"))["suppressions"] == 1


async def test_a_push_token_that_is_gone_is_only_removed(
    store: Store, clock: ManualClock, pipeline: Any, make_draft: Any
) -> None:
    step = await send(store, pipeline, make_draft, Provider.FCM, "token-of-ann-0123456789")
    await store.ledger.record([], [SendDone(step, None, clock.now(), drop_device=clock.now())])
    assert await store.suppression.find(limit=10) == []


async def test_feedback_is_told_on_the_timeline(store: Store, clock: ManualClock, make_draft: Any) -> None:
    (one,) = await store.ledger.accept(make_draft())
    await store.ledger.cancel(one.id)
    at = clock.now() + timedelta(seconds=5)
    told = Suppressed(Provider.EMAIL, MAIL, SuppressionReason.COMPLAINT, at)
    await store.suppression.add([Feedback(told, one.id), Feedback(told, "unknown"), Feedback(told)])
    status = await store.ledger.status(one.id)
    assert [(line.outcome, line.provider, line.at) for line in status.entries][-1] == (Outcome.SUPPRESSED, "email", at)
    assert MAIL not in status.entries[-1].address
