"""The switch of the status webhook on every database (N-28)."""

from datetime import timedelta
from typing import Any

from broker.notification import State
from broker.store.store import Store
from broker.webhook_switch import WebhookState
from config.clock import ManualClock

DAY_S = 86400.0


async def fail(store: Store, cause: str = "status 500") -> WebhookState:
    return await store.webhook_switch.failed(cause, disable_after_s=3 * DAY_S, gap_s=DAY_S)


async def test_what_never_failed_is_on(store: Store) -> None:
    assert await store.webhook_switch.begin("a") == WebhookState()
    assert await store.webhook_switch.state() == WebhookState()
    assert await store.webhook_switch.enable() is False


async def test_failures_in_a_row_for_three_days_switch_it_off(store: Store, clock: ManualClock) -> None:
    await store.webhook_switch.begin("a")
    began = clock.now()
    for _ in range(6):
        assert await fail(store) == WebhookState(began, None, "status 500")
        clock.move(DAY_S / 2)
    state = await fail(store, "no\0 answer")
    assert state == WebhookState(began, began + timedelta(days=3), "no answer") == await store.webhook_switch.state()
    clock.move(60)
    assert (await fail(store)).disabled_at == state.disabled_at, "once is enough"


async def test_a_success_begins_anew(store: Store, clock: ManualClock) -> None:
    await store.webhook_switch.begin("a")
    for _ in range(5):
        await fail(store)
        clock.move(DAY_S / 2)
    await store.webhook_switch.succeeded()
    assert await store.webhook_switch.state() == WebhookState()
    assert (await fail(store)).failing_since == clock.now()


async def test_a_pause_in_which_nothing_was_tried_begins_anew(store: Store, clock: ManualClock) -> None:
    await store.webhook_switch.begin("a")
    for _ in range(5):
        assert (await fail(store)).failing_since == clock.now()
        clock.move(DAY_S + 1)
    assert (await store.webhook_switch.state()).disabled_at is None


async def test_zero_never_switches_it_off(store: Store, clock: ManualClock) -> None:
    await store.webhook_switch.begin("a")
    for _ in range(100):
        state = await store.webhook_switch.failed("", disable_after_s=0.0, gap_s=DAY_S)
        assert state.disabled_at is None
        clock.move(DAY_S)


async def test_it_stays_off_over_restarts_until_the_settings_change(
    store: Store, clock: ManualClock, open_another: Any
) -> None:
    await store.webhook_switch.begin("a")
    for _ in range(7):
        state = await fail(store)
        clock.move(DAY_S / 2)
    assert state.disabled_at is not None
    another = await open_another()
    assert await another.webhook_switch.begin("a") == state
    assert await another.webhook_switch.begin("b") == WebhookState()
    assert await store.webhook_switch.state() == WebhookState(), "all processes share it"


async def test_an_operator_switches_it_on(store: Store, clock: ManualClock) -> None:
    await store.webhook_switch.begin("a")
    for _ in range(7):
        await fail(store)
        clock.move(DAY_S / 2)
    assert await store.webhook_switch.enable() is True
    assert await store.webhook_switch.state() == WebhookState()
    assert await store.webhook_switch.begin("a") == WebhookState()


async def test_where_no_pipeline_has_a_webhook_nothing_is_noted(store: Store) -> None:
    assert await fail(store) == WebhookState(has_begun=False)
    await store.webhook_switch.succeeded()
    assert await store.webhook_switch.state() == WebhookState(has_begun=False)


async def test_events_that_were_due_for_long_are_given_up(clock: ManualClock, store_url: str, make_draft: Any) -> None:
    from broker.store.store import open_store

    store = await open_store(store_url, clock=clock, events=frozenset({"notification.cancelled"}))
    try:
        for _ in range(5):
            (accepted,) = await store.ledger.accept(make_draft("ann"))
            assert await store.ledger.cancel(accepted.id) is State.CANCELLED
            clock.move(60)
        until = clock.now() + timedelta(seconds=30)
        (held,) = await store.status_events.claim(limit=1, lease_until=until)
        border = clock.now() - timedelta(seconds=100)
        assert await store.status_events.give_up(due_before=border, limit=2) == 2
        assert await store.status_events.give_up(due_before=border, limit=2) == 1, "one is claimed, one is not old"
        assert await store.status_events.give_up(due_before=border, limit=2) == 0
        await store.status_events.settle(delivered=[held])
        assert len(await store.status_events.claim(limit=10, lease_until=until)) == 1
    finally:
        await store.close()
