"""What goes beside notifications: digests, escalations, send times, caps, and the rules of users, on every database."""

from datetime import timedelta

import msgspec
import pytest

from broker.confirmations import Mark
from broker.dead_letters import DeadLetterFilter, Replay
from broker.errors import BadInput
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Digest, Entry, Escalation, Lane, Outcome, Preference, Provider, State, TemplateUse, Terms
from broker.preferences import UserRules
from broker.quiet_hours import QuietHours
from broker.routing import Route, RoutePolicy

WINDOW_S = 60.0


@pytest.fixture
def collected(make_draft):
    """Make a request whose notifications are collected."""

    def make(title, *users, key="posts"):
        draft = make_draft(*users, title=title)
        return msgspec.structs.replace(draft, digest=Digest(key, WINDOW_S, "{count} posts"))

    return make


async def states(store, *notification_ids):
    return [(await store.ledger.status(one)).notification.state for one in notification_ids]


async def close_digest(pipeline):
    """Claim the one digest that is due, and close it; gives its id."""
    step = await pipeline.claim_one()
    assert step.notification.terms.collects
    await pipeline.ledger.record([PlanDone(step, next_plan_at=pipeline.clock.now(), closes=True)], [])
    return step.notification.id


async def test_a_window_is_told_in_one_message(store, pipeline, clock, collected):
    """N-26: members keep their timelines, and the digest tells how many and the last headlines."""
    ids = []
    for number in range(7):
        ids += [one.id for one in await store.ledger.accept(collected(f"Post {number}"))]
        clock.move(1)
    assert not await pipeline.claim()
    assert await states(store, *ids) == [State.PENDING] * 7
    clock.move(WINDOW_S)
    digest_id = await close_digest(pipeline)
    assert await states(store, *ids) == [State.DIGESTED] * 7
    (line,) = (await store.ledger.status(ids[0])).entries
    assert (line.outcome, line.detail) == (Outcome.DIGESTED, f"told in {digest_id}")
    step = await pipeline.claim_one()
    content = step.notification.content
    assert (step.notification.id, content.title) == (digest_id, "7 posts")
    assert content.body.splitlines() == [f"Post {number}" for number in (6, 5, 4, 3, 2)]
    assert msgspec.json.decode(content.data)["digest"]["count"] == 7
    assert content.category == "water"


async def test_users_and_keys_have_digests_of_their_own(store, pipeline, clock, collected):
    await store.ledger.accept(collected("One", "ann", "bob"))
    await store.ledger.accept(collected("Two", "ann", "bob"))
    await store.ledger.accept(collected("Three", "ann", key="likes"))
    clock.move(WINDOW_S)
    assert len(await pipeline.claim()) == 3


async def test_what_comes_after_the_window_opens_another(store, pipeline, clock, collected):
    (first,) = await store.ledger.accept(collected("One"))
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    (second,) = await store.ledger.accept(collected("Two"))
    assert await states(store, first.id, second.id) == [State.DIGESTED, State.PENDING]


@pytest.fixture
def sliding(collected):
    def make(title, **more):
        draft = collected(title)
        return msgspec.structs.replace(draft, digest=msgspec.structs.replace(draft.digest, **{"longest_s": 100.0} | more))

    return make


async def test_a_sliding_window_begins_anew_up_to_its_longest(store, pipeline, clock, sliding):
    """N-26: fixed or sliding with a maximum."""
    await store.ledger.accept(sliding("One"))
    clock.move(50)
    await store.ledger.accept(sliding("Two"))
    clock.move(30)
    assert not await pipeline.claim(), "the window began anew at 50"
    await store.ledger.accept(sliding("Three"))
    clock.move(19)
    assert not await pipeline.claim()
    clock.move(1)
    await close_digest(pipeline)
    step = await pipeline.claim_one()
    assert step.notification.content.title == "3 posts"
    assert step.notification.expires_at == clock.now() + timedelta(seconds=600)


async def test_a_digest_that_is_being_closed_keeps_its_lease(store, pipeline, clock, sliding):
    await store.ledger.accept(sliding("One", longest_s=1000.0))
    clock.move(WINDOW_S)
    step = await pipeline.claim_one()
    await store.ledger.accept(sliding("Two", longest_s=1000.0))
    clock.move(29)
    assert not await pipeline.claim(), "it is leased"
    await pipeline.ledger.record([PlanDone(step, next_plan_at=clock.now(), closes=True)], [])
    assert (await pipeline.claim_one()).notification.content.title == "2 posts"


async def test_the_first_one_may_go_at_once(store, pipeline, clock, sliding):
    """N-26: first-immediately."""
    (first,) = await store.ledger.accept(sliding("One", first_at_once=True, longest_s=0.0))
    assert (await pipeline.claim_one()).notification.id == first.id
    await store.ledger.acknowledge(first.id, "ann")
    (second,) = await store.ledger.accept(sliding("Two", first_at_once=True, longest_s=0.0))
    assert not await pipeline.claim()
    clock.move(WINDOW_S)
    digest_id = await close_digest(pipeline)
    assert (await pipeline.claim_one()).notification.content.title == "1 posts"
    assert (await store.ledger.status(first.id)).digested_into == ""
    assert (await store.ledger.status(second.id)).digested_into == digest_id


async def test_a_window_to_a_time_of_day_is_asked_for_at_once(store, pipeline, clock, collected):
    """N-26: or at local times, which only the decision knows."""
    draft = collected("One")
    timed = msgspec.structs.replace(draft, digest=Digest("posts", 0.0, "{count} posts", at=("09:00", "17:00")))
    (one,) = await store.ledger.accept(timed)
    notification = (await pipeline.claim_one()).notification
    assert notification.terms.collects_until == ("09:00", "17:00")
    assert notification.expires_at == clock.now() + timedelta(hours=25, seconds=600)
    assert (await store.ledger.status(one.id)).notification.expires_at == notification.expires_at


async def test_a_template_is_given_what_was_collected(store, pipeline, clock, collected):
    """N-26: one rendered message lists n items."""
    use = TemplateUse("digest", 3, msgspec.Raw(b'{"name":"Ann"}'))
    member = TemplateUse("comment", 1, msgspec.Raw(b'{"who":"Bob"}'))
    ids = []
    for number in range(60):
        draft = collected(f"Post {number}")
        digest = msgspec.structs.replace(draft.digest, template=use)
        content = draft.content if number else msgspec.structs.replace(draft.content, template=member)
        ids += [one.id for one in await store.ledger.accept(msgspec.structs.replace(draft, digest=digest, content=content))]
        clock.move(0.01)
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    content = (await pipeline.claim_one()).notification.content
    assert (content.template, content.collected.count) == (use, 60)
    assert [item.id for item in content.collected.items] == ids[:9:-1]
    newest = content.collected.items[0]
    assert (newest.title, newest.body, newest.link) == ("Post 59", "Low at noon", "https://x.test/7")
    assert bytes(newest.data) == b'{"gauge":7}'


async def test_templated_members_are_left_to_be_told_in_the_reader_s_words(store, pipeline, clock, collected):
    member = TemplateUse("comment", 1, msgspec.Raw(b'{"who":"Bob"}'))
    draft = collected("")
    await store.ledger.accept(msgspec.structs.replace(draft, content=msgspec.structs.replace(draft.content, template=member)))
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    content = (await pipeline.claim_one()).notification.content
    assert (content.title, content.template, content.collected.count) == ("1 posts", None, 1)
    assert content.collected.items[0].template == member


async def test_what_a_template_gets_is_bounded(store, pipeline, clock, collected):
    for _ in range(50):
        draft = collected("x" * 1024)
        large = msgspec.Raw(msgspec.json.encode({"text": "y" * 16_000}))
        content = msgspec.structs.replace(draft.content, data=large, body="z" * 16_000)
        digest = msgspec.structs.replace(draft.digest, template=TemplateUse("digest", 1))
        await store.ledger.accept(msgspec.structs.replace(draft, content=content, digest=digest))
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    collected = (await pipeline.claim_one()).notification.content.collected
    assert (collected.count, len(collected.items)) == (50, 3)


async def test_twins_join_one_digest(store, pipeline, clock, collected, together):
    await together(*(store.ledger.accept(collected(f"Post {number}")) for number in range(6)))
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    assert (await pipeline.claim_one()).notification.content.title == "6 posts"


async def test_a_digest_whose_worker_died_is_closed_once(store, pipeline, clock, collected):
    await store.ledger.accept(collected("One"))
    clock.move(WINDOW_S)
    lost = await pipeline.claim_one()
    clock.move(31)
    digest_id = await close_digest(pipeline)
    await store.ledger.record([PlanDone(lost, next_plan_at=clock.now(), closes=True)], [])
    step = await pipeline.claim_one()
    assert (step.notification.id, step.notification.content.title) == (digest_id, "1 posts")
    assert [entry.outcome for entry in step.entries] == [Outcome.DIGESTED]


async def test_who_saw_the_digest_saw_what_it_tells(store, pipeline, clock, collected):
    ids = [(await store.ledger.accept(collected(title)))[0].id for title in ("One", "Two")]
    clock.move(WINDOW_S)
    digest_id = await close_digest(pipeline)
    assert await store.ledger.acknowledge(digest_id, "ann") is State.ACKNOWLEDGED
    assert await states(store, *ids) == [State.ACKNOWLEDGED] * 2
    assert not await pipeline.claim()


async def test_what_was_seen_or_called_off_before_is_not_told(store, pipeline, clock, collected):
    ids = [(await store.ledger.accept(collected(title)))[0].id for title in ("One", "Two", "Three")]
    await store.ledger.acknowledge(ids[0], "ann")
    await store.ledger.cancel(ids[1])
    clock.move(WINDOW_S)
    await close_digest(pipeline)
    assert (await pipeline.claim_one()).notification.content.body == "Three"
    assert await states(store, *ids) == [State.ACKNOWLEDGED, State.CANCELLED, State.DIGESTED]


async def test_a_digest_of_nothing_is_called_off(store, pipeline, clock, collected):
    (only,) = await store.ledger.accept(collected("One"))
    await store.ledger.acknowledge(only.id, "ann")
    clock.move(WINDOW_S)
    digest_id = await close_digest(pipeline)
    assert await states(store, digest_id) == [State.CANCELLED]
    assert not await pipeline.claim()


async def test_calling_a_digest_off_calls_off_what_it_collected(store, pipeline, clock, collected):
    (only,) = await store.ledger.accept(collected("One"))
    clock.move(WINDOW_S)
    digest = await pipeline.claim_one()
    await store.ledger.cancel(digest.notification.id)
    assert await states(store, only.id) == [State.CANCELLED]


@pytest.fixture
def escalating(make_draft):
    draft = make_draft("ann", lane=Lane.CRITICAL)
    return msgspec.structs.replace(draft, escalation=Escalation("bob", 300.0, RoutePolicy(((Route.PUSH,),))))


async def test_what_nobody_sees_is_told_to_another_linked_in_both_timelines(store, pipeline, clock, escalating):
    (one,) = await store.ledger.accept(escalating)
    step = await pipeline.claim_one()
    await store.ledger.record([PlanDone(step, finish=State.EXHAUSTED)], [])
    clock.move(299)
    assert not await pipeline.claim()
    clock.move(1)
    told = await pipeline.claim_one()
    assert (told.notification.user, told.notification.terms.escalates) == ("bob", one.id)
    assert (await store.inbox.counts(["bob"]))[0].unseen == 0
    line = Entry("", Outcome.ESCALATED, clock.now(), detail="told")
    done = PlanDone(told, finish=State.EXHAUSTED, arrives=True, tells=(one.id, line))
    await store.ledger.record([done], [])
    await store.ledger.record([done], [])
    assert [entry.outcome for entry in (await store.ledger.status(one.id)).entries] == [Outcome.ESCALATED], "once"
    assert (await store.inbox.counts(["bob"]))[0].unseen == 1


@pytest.mark.parametrize("end", ["acknowledge", "cancel"])
async def test_what_is_seen_or_called_off_does_not_escalate(store, pipeline, clock, escalating, end):
    (one,) = await store.ledger.accept(escalating)
    await (store.ledger.acknowledge(one.id, "ann") if end == "acknowledge" else store.ledger.cancel(one.id))
    clock.move(300)
    assert not await pipeline.claim()


@pytest.mark.parametrize("end", ["acknowledge", "mark", "click", "cancel"])
async def test_no_send_of_an_escalation_begins_once_it_is_called_off(store, pipeline, clock, escalating, end):
    """Claimed already, it may wait for a place: whoever holds it is told, as of what was seen itself."""
    (one,) = await store.ledger.accept(escalating)
    await store.ledger.record([PlanDone(await pipeline.claim_one(), next_plan_at=pipeline.after(400))], [])
    clock.move(300)
    escalation = (await pipeline.claim_one()).notification
    match end:
        case "acknowledge":
            await store.ledger.acknowledge(one.id, "ann")
        case "mark":
            await store.inbox.mark("ann", [one.id], Mark.READ)
        case "click":
            await store.tracking.clicked(one.id, 1, "https://x.test/7")
        case _:
            await store.ledger.cancel(one.id)
    assert await states(store, escalation.id) == [State.CANCELLED]
    assert store.ledger.is_ended(escalation.id)


async def test_what_nobody_sees_calls_an_address(store, pipeline, clock, make_draft):
    """An escalation to an address is its user's own, goes to that address alone, and lies in no inbox."""
    await pipeline.register("ann", Provider.WEBHOOK)
    escalation = Escalation("", 300.0, RoutePolicy(((Route.WEBHOOK,),)), "https://pager.example.org/ann")
    draft = msgspec.structs.replace(make_draft("ann", lane=Lane.CRITICAL), escalation=escalation)
    (one,) = await store.ledger.accept(draft)
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])
    clock.move(300)
    plan = await pipeline.claim_one()
    assert (plan.notification.user, plan.notification.terms.escalates) == ("ann", one.id)
    (device,) = plan.devices
    assert (device.token, device.carrier) == ("https://pager.example.org/ann", "webhook")
    await store.ledger.record(
        [PlanDone(plan, sends=(NewSend(device, clock.now()),), arrives=plan.notification.terms.arrives)], []
    )
    assert (await store.inbox.counts(["ann"]))[0].unseen == 1, "that is the first one"
    assert not await pipeline.claim(paused=frozenset({"webhook"})), "it waits for its carrier as all do"
    send = await pipeline.claim_one(StepKind.SEND)
    assert send.device == device


async def test_a_call_that_failed_is_replayed(store, pipeline, clock, make_draft):
    escalation = Escalation("", 1.0, RoutePolicy(((Route.WEBHOOK,),)), "https://pager.example.org/ann")
    draft = msgspec.structs.replace(make_draft("ann", lane=Lane.CRITICAL), escalation=escalation)
    await store.ledger.accept(draft)
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])
    clock.move(1)
    plan = await pipeline.claim_one()
    await store.ledger.record([PlanDone(plan, sends=(NewSend(plan.devices[0], clock.now()),))], [])
    send = await pipeline.claim_one(StepKind.SEND)
    line = Entry("webhook", Outcome.GAVE_UP, clock.now(), "webhook", "https://pager…", send.device.id, 6)
    await store.ledger.record([], [SendDone(send, line, clock.now())])
    (letter,) = await store.dead_letters.find(DeadLetterFilter(), limit=9)
    assert [one.result for one in await store.dead_letters.replay([letter.id])] == [Replay.REPLAYED]
    assert {step.kind for step in await pipeline.claim()} >= {StepKind.SEND}


async def test_a_send_time_is_when_it_falls_due_and_its_life_begins(store, pipeline, clock, make_draft):
    send_at = clock.now() + timedelta(hours=2)
    (one,) = await store.ledger.accept(msgspec.structs.replace(make_draft(), terms=Terms(send_at=send_at, arrives=True)))
    assert not await pipeline.claim()
    assert (await store.inbox.counts(["ann"]))[0].unseen == 0
    notification = (await store.ledger.status(one.id)).notification
    assert (notification.state, notification.expires_at) == (State.PENDING, send_at + timedelta(seconds=600))
    clock.move(7200)
    assert (await pipeline.claim_one()).notification.terms.send_at == send_at


@pytest.mark.parametrize("hours", [-1, 24 * 367])
async def test_a_send_time_that_is_over_or_too_far_is_refused(store, clock, make_draft, hours):
    terms = Terms(send_at=clock.now() + timedelta(hours=hours))
    with pytest.raises(BadInput) as raised:
        await store.ledger.accept(msgspec.structs.replace(make_draft(), terms=terms))
    assert raised.value.field == "send_at"


async def test_a_late_repeat_gets_the_first_answer(store, clock, make_draft):
    draft = msgspec.structs.replace(make_draft(), terms=Terms(send_at=clock.now() + timedelta(seconds=5)))
    first = await store.ledger.accept(draft, idempotency_key="k")
    clock.move(10)
    assert await store.ledger.accept(draft, idempotency_key="k") == first


async def test_what_counts_is_counted_once_and_for_its_window(store, pipeline, clock, make_draft):
    """N-21."""
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    step = await pipeline.claim_one()
    began = clock.now()
    await store.ledger.record([PlanDone(step, sends=(NewSend(device, began),), counts=True)], [])
    assert await store.frequency.told(["ann", "bob"], "water", since=began - timedelta(seconds=1)) == {"ann": {one.id}}
    assert await store.frequency.told(["ann"], "water", since=began) == {}
    assert await store.frequency.told(["ann"], "fire", since=began - timedelta(seconds=1)) == {}


async def test_rules_come_with_steps_and_go_when_they_are_empty(store, pipeline, clock, make_draft):
    hours = QuietHours("22:00", "07:00", "Europe/Berlin", ("mon",), ("high",))
    by_category = {"orders": RoutePolicy(((Route.LIVE, Route.PUSH),), {Route.PUSH: 3.0})}
    rules = UserRules(hours, clock.now(), "Asia/Tokyo", RoutePolicy(((Route.SMS,),)), "pt-BR", by_category)
    muted = Preference("water", "push", False, clock.now() + timedelta(hours=1))
    await store.preferences.change("ann", [muted], rules)
    assert await store.preferences.rules_of("ann") == rules
    await store.ledger.accept(make_draft("ann"))
    step = await pipeline.claim_one()
    assert (step.rules, step.preferences) == (rules, (muted,))
    await store.preferences.change("ann", [], UserRules())
    assert await store.preferences.rules_of("ann") == UserRules()
