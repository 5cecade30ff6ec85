"""The audit on every database: what is written down, by whom, in which order, and what is left after retention and erasure."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from broker.audit import Act, Anchor, AuditFilter, Decision, SealedRecord
from broker.caller import Actor, ActorKind, Caller, bind_caller, within
from broker.campaigns import Audience, NewCampaign
from broker.dead_letters import DeadLetterFilter
from broker.devices import DeviceFilter, Registration
from broker.errors import BadInput, StoreUnavailable
from broker.ledger import PlanDone
from broker.notification import Preference, Provider, State
from broker.store import audit_search
from broker.store.audit_tables import AUDIT_RECORDS
from broker.store.store import Store, open_store
from broker.suppression import Feedback, Suppressed, SuppressionReason
from broker.templates import TemplateKey, TemplateText
from config.audit_settings import AuditSettings
from config.clock import ManualClock
from config.settings import StoreSettings

KEY = "key-of-the-audit"
PATIENT = StoreSettings(connect_timeout=60, pool_timeout=60, answer_timeout=90, statement_timeout=60)
BACKEND = Caller(Actor(ActorKind.API_KEY, "backen…"), "192.0.2.7", "api", "request-1")
ANN = Caller(Actor(ActorKind.USER, "ann"), "192.0.2.8", "websocket", "client-1")
DENIED = Act("channel.subscribe", "channel:docs", "ann", Decision.DENIED, "channel.without_namespace")


@pytest.fixture
def open_with(store_url: str, clock: ManualClock) -> Callable[..., Awaitable[Store]]:
    """Open the database as a process with settings of its own would."""

    async def open_one(**settings: Any) -> Store:
        return await open_store(store_url, clock=clock, settings=PATIENT, audit=AuditSettings(**settings))

    return open_one


async def records(store: Store, **rules: Any) -> list[SealedRecord]:
    """Every record that meets the rules, in the order of the chain."""
    await store.audit.settle()
    found, cursor = await store.audit.search(AuditFilter(**rules), limit=500)
    assert cursor == ""
    return sorted(found, key=lambda sealed: sealed.sequence)


async def acts(store: Store, **rules: Any) -> list[Act]:
    return [sealed.record.act for sealed in await records(store, **rules)]


async def assert_whole(store: Store) -> None:
    await store.audit.settle()
    assert (await store.audit.verify()).problems == ()


async def test_a_change_says_who_did_what_to_what_from_where(store: Store, clock: ManualClock) -> None:
    store.audit.begin("node-1")
    bind_caller(BACKEND)
    device = await store.devices.register(Registration("ann", Provider.FCM, "t1", "android", app="kiosk"))
    (sealed,) = await records(store, action="device.*")
    record = sealed.record
    details = {"provider": "fcm", "platform": "android", "app": "kiosk"}
    assert record.act == Act("device.registered", f"device:{device.id}", "ann", Decision.CHANGED, "", details)
    assert (record.at, record.caller, record.node) == (clock.now(), BACKEND, "node-1")
    assert "t1" not in str(sealed)
    await assert_whole(store)


async def test_a_user_is_the_actor_of_what_it_does_itself(store: Store) -> None:
    words = [Preference("news", "email", enabled=False), Preference("*", "apns", enabled=True)]
    await within(ANN, store.preferences.set("ann", words))
    (sealed,) = await records(store, actor="user:ann")
    assert sealed.record.caller == ANN
    assert sealed.record.act == Act("preferences.set", user="ann", details={"*/apns": True, "news/email": False})
    assert await records(store, actor="user:ben") == []


async def test_every_kind_of_change_is_written_down(store: Store, pipeline: Any, make_draft: Any, clock: ManualClock) -> None:
    bind_caller(BACKEND)
    device = await store.devices.register(Registration("ann", Provider.FCM, "t1", "android"))
    other = await store.devices.register(Registration("ann", Provider.FCM, "t2", "android"))
    assert await store.devices.remove("ann", device.id)
    assert await store.devices.remove_all(DeviceFilter(users=("ann",))) == 1
    rules = await store.preferences.rules_of("ann")
    await store.preferences.change("ann", [], rules)
    suppressed = Suppressed(Provider.EMAIL, "carol@example.com", SuppressionReason.MANUAL, clock.now())
    await store.suppression.add([Feedback(suppressed)])
    assert await store.suppression.remove(Provider.EMAIL, "carol@example.com")
    key = TemplateKey("welcome", "en", "")
    await store.templates.put(key, TemplateText(title="Hello"))
    await store.templates.remove("welcome", locale="en")
    await store.deletion_guards.trust("apns")
    assert [(act.action, act.resource, act.user) for act in await acts(store)] == [
        ("device.registered", f"device:{device.id}", "ann"),
        ("device.registered", f"device:{other.id}", "ann"),
        ("device.removed", f"device:{device.id}", "ann"),
        ("device.removed", "", "ann"),
        ("preferences.set", "", "ann"),
        ("suppression.added", "address:email:c…@example.com", ""),
        ("suppression.removed", "address:email:c…@example.com", ""),
        ("template.put", "template:welcome", ""),
        ("template.removed", "template:welcome", ""),
        ("deletion_guard.opened", "provider:apns", ""),
    ]


async def test_a_replay_is_written_down_and_a_dry_run_is_not(store: Store, pipeline: Any, make_draft: Any) -> None:
    await store.ledger.accept(make_draft("ann"))
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.FAILED)], [])
    (letter,) = await store.dead_letters.find(DeadLetterFilter(), limit=9)
    await store.dead_letters.replay([letter.id], dry_run=True)
    await store.dead_letters.replay([letter.id, "9999"])
    await store.dead_letters.replay([letter.id])
    assert await acts(store, action="dead_letters.replayed") == [
        Act("dead_letters.replayed", details={"count": 1, "ids": letter.id})
    ]


async def test_topics_and_campaigns_are_written_down(store: Store, make_draft: Any) -> None:
    await store.topics.create("news")
    await store.topics.subscribe("news", ["ann"])
    await store.topics.subscribe("news", ["ben", "cem"])
    await store.topics.unsubscribe("news", ["ann"])
    draft = msgspec.structs.replace(make_draft(), users=())
    new = NewCampaign(Audience(topics=("news",)), draft, 10.0, "spring")
    campaign_id = await store.campaigns.create(new, idempotency_key="k", fingerprint=b"f")
    assert await store.campaigns.create(new, idempotency_key="k", fingerprint=b"f") == campaign_id
    await store.campaigns.pause(campaign_id)
    await store.campaigns.resume(campaign_id)
    await store.campaigns.cancel(campaign_id)
    await store.topics.remove("news")
    assert [(act.action, act.resource, act.user, dict(act.details)) for act in await acts(store)] == [
        ("topic.created", "topic:news", "", {}),
        ("topic.subscribed", "topic:news", "ann", {}),
        ("topic.subscribed", "topic:news", "", {"users": 2}),
        ("topic.unsubscribed", "topic:news", "ann", {}),
        ("campaign.created", f"campaign:{campaign_id}", "", {"name": "spring"}),
        ("campaign.paused", f"campaign:{campaign_id}", "", {}),
        ("campaign.resumed", f"campaign:{campaign_id}", "", {}),
        ("campaign.cancelled", f"campaign:{campaign_id}", "", {}),
        ("topic.removed", "topic:news", "", {}),
    ]


async def test_what_changed_nothing_is_not_written_down(store: Store) -> None:
    assert not await store.devices.remove("ann", "nothing")
    assert await store.devices.remove_all(DeviceFilter(users=("ann",))) == 0
    assert not await store.suppression.remove(Provider.EMAIL, "carol@example.com")
    with pytest.raises(BadInput):
        for number in range(60):
            await store.devices.register(Registration("ann", Provider.FCM, f"t{number}", "android"))
    assert {act.action for act in await acts(store)} == {"device.registered"}
    assert len(await acts(store)) == 50


async def test_denials_are_written_down_after_a_moment_and_repeats_are_counted(store: Store, clock: ManualClock) -> None:
    for _ in range(3):
        store.audit.record(DENIED, by=ANN)
    store.audit.record(Act("rpc.call", "method:x", "ben", Decision.DENIED, "role:none"))
    assert await store.audit.head() == Anchor(0, "0" * 64)
    for _ in range(200):  # the moment, and then as long as the database takes
        await clock.advance(0.2)
        if (await store.audit.head()).sequence:
            break
        await asyncio.sleep(0.01)
    found, _ = await store.audit.search(AuditFilter(decision="denied"), limit=9)
    assert [(one.record.act.resource, one.record.act.rule, one.record.act.details) for one in found] == [
        ("method:x", "role:none", {}),
        ("channel:docs", "channel.without_namespace", {"count": 3}),
    ]
    statistics = store.audit.statistics()
    assert (statistics.recorded, statistics.queued, statistics.dropped) == ({"denied": 4}, 0, 0)


async def test_a_full_queue_leaves_a_gap_that_is_told(open_with: Any) -> None:
    store = await open_with(queue_size=10)
    for number in range(25):
        store.audit.record(Act("channel.publish", f"channel:{number}", decision=Decision.DENIED))
    (gap,) = await acts(store, action="audit.gap")
    assert gap.details["dropped"] == {"denied": 15}
    assert len(await acts(store, decision="denied")) == 10
    assert store.audit.statistics().dropped == 15
    await assert_whole(store)
    await store.close()


async def test_search_pages_by_rules(store: Store, clock: ManualClock) -> None:
    began, rules = clock.now(), ("policy:night", "policy:day", "policy:dawn")
    for number in range(7):
        store.audit.record(Act("channel.publish", f"channel:a:{number}", "ann", Decision.DENIED, rules[number % 3]), by=ANN)
        store.audit.record(Act("api.call", f"api:{number}", decision=Decision.GRANTED), by=BACKEND)
        clock.move(1)
    await store.audit.settle()
    pages, cursor = [], ""
    while True:
        found, cursor = await store.audit.search(AuditFilter(actor="user"), before=cursor, limit=3)
        pages.append([one.record.act.resource for one in found])
        if not cursor:
            break
    assert pages == [[f"channel:a:{n}" for n in (6, 5, 4)], [f"channel:a:{n}" for n in (3, 2, 1)], ["channel:a:0"]]
    between = {"since": began + timedelta(seconds=2), "until": began + timedelta(seconds=4)}
    assert [act.resource for act in await acts(store, **between)] == ["channel:a:2", "api:2", "channel:a:3", "api:3"]
    assert len(await acts(store, resource="channel:a:*")) == 7
    assert len(await acts(store, resource="channel:a:1")) == 1
    assert len(await acts(store, action="api.*", decision="granted", correlation_id="request-1")) == 7
    assert len(await acts(store, actor="api_key:backen…")) == 7
    assert [act.resource for act in await acts(store, rule="policy:night")] == ["channel:a:0", "channel:a:3", "channel:a:6"]
    assert len(await acts(store, rule="policy:*")) == 7
    assert await acts(store, rule="policy:nigh") == []
    assert await acts(store, user="nobody") == []


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (AuditFilter(rule="policy:night"), "audit_records_by_rule"),
        (AuditFilter(user="ann"), "audit_records_by_subject"),
        (AuditFilter(actor="user:ann"), "audit_records_by_subject"),
    ],
)
async def test_a_question_is_answered_by_its_index(store: Store, engine: str, wanted: AuditFilter, index: str) -> None:
    query = audit_search._FIND.where(*audit_search._rules(wanted)).order_by(
        AUDIT_RECORDS.c.at.desc(), AUDIT_RECORDS.c.sequence.desc()
    )
    how = "EXPLAIN " if engine == "postgresql" else "EXPLAIN QUERY PLAN "

    def explained(connection: Connection) -> str:
        if engine == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # of an empty table it would read all
        event.listen(connection, "before_cursor_execute", lambda *call: (f"{how}{call[2]}", call[3]), retval=True)
        return " / ".join(str(row[-1]) for row in connection.execute(query).cursor.fetchall())

    plan = await store.audit._database.write(explained)  # type: ignore[attr-defined]  # (no port explains)
    assert index in plan


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"actor": "robot"}, "actor"),
        ({"decision": "perhaps"}, "decision"),
        ({"action": "a*b"}, "action"),
        ({"resource": "*:x"}, "resource"),
        ({"rule": "*:x"}, "rule"),
        ({"user": "a\0"}, "user"),
    ],
)
async def test_a_filter_that_breaks_a_rule_is_refused(store: Store, rules: dict[str, str], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await store.audit.search(AuditFilter(**rules), limit=1)
    assert refused.value.field == field
    with pytest.raises(BadInput) as refused:
        await store.audit.search(AuditFilter(), before="7", limit=1)
    assert refused.value.field == "cursor"


async def test_texts_that_cannot_be_stored_are_made_fit(store: Store) -> None:
    wild = "\ud800\0" + "x" * 2000
    act = Act(wild, wild, wild, Decision.DENIED, wild, {"a": wild, "b": 7})
    store.audit.record(act, by=Caller(BACKEND.actor, wild, wild, wild))
    store.audit.record(Act("many", details={str(number): "y" * 500 for number in range(50)}))
    first, second = await acts(store)
    assert first.resource.startswith("?x")
    assert len(first.resource) <= 512
    assert first.details["b"] == 7
    assert second.details == {"cut": True}
    await assert_whole(store)


async def test_two_who_write_at_once_prolong_one_chain(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Any
) -> None:
    other = await open_another()
    for one in (store, other):
        for number in range(40):
            one.audit.record(Act("channel.publish", f"channel:{number}", f"user-{number % 5}", Decision.DENIED))
    registering = [
        one.devices.register(Registration(f"user-{number}", Provider.FCM, f"t{number}-{id(one)}", "android"))
        for number in range(10)
        for one in (store, other)
    ]
    errors = await together(*registering, *(one.audit.settle() for one in (store, other) for _ in range(3)))
    assert [error for error in errors if isinstance(error, BaseException)] == []
    await assert_whole(store)
    found = await records(store)
    assert [one.sequence for one in found] == list(range(1, 101))
    assert len({one.subject for one in found}) == 10  # user-5 … user-9 by their devices alone


async def test_a_refused_write_leaves_no_record_and_another_in_its_group_does(store: Store, together: Any) -> None:
    for number in range(50):
        await store.devices.register(Registration("ann", Provider.FCM, f"t{number}", "android"))
    answers = await together(
        store.devices.register(Registration("ann", Provider.FCM, "one-more", "android")),
        store.devices.register(Registration("ben", Provider.FCM, "first", "android")),
    )
    assert [isinstance(answer, BadInput) for answer in answers] == [True, False]
    assert [act.user for act in await acts(store)] == ["ann"] * 50 + ["ben"]


async def test_retention_cuts_the_old_end_and_the_rest_is_whole(store: Store, clock: ManualClock) -> None:
    for number in range(10):
        store.audit.record(Act("channel.publish", f"channel:{number}", f"user-{number}", Decision.DENIED))
        await store.audit.settle()
        clock.move(60)
    anchor = await store.audit.head()
    cut = clock.now() - timedelta(seconds=60 * 5.5)
    assert await store.audit.sweep(before=cut, limit=3) == 3
    assert await store.audit.sweep(before=cut, limit=3) == 2
    assert await store.audit.sweep(before=cut, limit=3) == 0
    found = await records(store, action="channel.*")
    assert [one.record.act.resource for one in found] == [f"channel:{number}" for number in range(5, 10)]
    assert [act.details["through"] for act in await acts(store, action="audit.swept")] == [3, 5]
    checked = await store.audit.verify(anchor)
    assert (checked.problems, checked.first, checked.records) == ((), 6, 7)
    with pytest.raises(BadInput, match="retention removed"):
        await store.audit.verify(Anchor(2, "0" * 64))
    # What led to users of whom nothing is left went along.
    assert await records(store, user="user-1") == []
    assert [one.record.act.user for one in await records(store, user="user-7")] == ["user-7"]


async def test_retention_of_everything_leaves_the_record_that_says_so(store: Store, clock: ManualClock) -> None:
    store.audit.record(DENIED)
    await store.audit.settle()
    clock.move(60)
    for _ in range(3):
        await store.audit.sweep(before=clock.now(), limit=100)
        clock.move(60)
    (left,) = await records(store)
    assert left.record.act.action == "audit.swept"
    await assert_whole(store)
    store.audit.record(DENIED)
    await assert_whole(store)


async def test_erasure_takes_the_person_and_leaves_the_chain(store: Store, clock: ManualClock) -> None:
    bind_caller(BACKEND)
    for user in ("ann", "ben"):
        await store.devices.register(Registration(user, Provider.FCM, f"token-of-{user}", "android"))
    store.audit.record(DENIED, by=ANN)
    await store.audit.settle()
    await store.preferences.set("ann", [Preference("news", "email", enabled=False)])  # this one waits for its place
    assert (await store.erasure.erase("ann"))["devices"] == 1
    await assert_whole(store)
    assert await records(store, user="ann") == []
    found = await records(store)
    mine = [one for one in found if one.subject and one.record.act.user == ""]
    assert [one.record.act.action for one in mine] == ["device.registered", "channel.subscribe", "preferences.set"]
    assert {one.record.caller.address for one in mine} == {""}
    (subject,) = {one.subject for one in mine}
    (erased,) = [one for one in found if one.record.act.action == "user.erased"]
    assert (erased.record.act.resource, erased.record.caller) == (f"subject:{subject}", BACKEND)
    assert "ann" not in str(found).replace("channel", "")
    # Another is untouched; and who comes back is somebody new.
    assert [one.record.caller.address for one in await records(store, user="ben")] == ["192.0.2.7"]
    store.audit.record(DENIED, by=ANN)
    (again,) = await records(store, user="ann")
    assert again.subject != subject
    await assert_whole(store)


async def test_erasing_somebody_unknown_is_recorded_too(store: Store) -> None:
    await store.erasure.erase("nobody")
    assert await acts(store) == [Act("user.erased")]


async def test_a_process_without_the_key_does_not_prolong_a_signed_chain(open_with: Any) -> None:
    signed, unsigned = await open_with(hmac_key=KEY), await open_with()
    signed.audit.record(DENIED)
    await signed.audit.settle()
    unsigned.audit.record(Act("channel.publish", decision=Decision.DENIED))
    with pytest.raises(StoreUnavailable, match=r"audit\.hmac_key is not set"):
        await unsigned.audit.settle()
    # What it was told waits in the store for whoever has the key.
    assert [one.key_id != "" for one in await records(signed)] == [True, True]
    await assert_whole(signed)
    assert "no record" not in str(await signed.audit.verify())
    assert (await unsigned.audit.verify()).problems != ()  # nobody can check signatures without it
    await unsigned.close()
    await signed.close()


async def test_switched_off_it_writes_nothing(open_with: Any) -> None:
    store = await open_with(enabled=False)
    store.audit.begin("n1")
    store.audit.record(DENIED)
    await store.audit.change(DENIED)
    await store.devices.register(Registration("ann", Provider.FCM, "t1", "android"))
    await store.erasure.erase("ann")
    assert await acts(store) == []
    await store.close()


async def test_what_is_queued_is_written_when_the_store_closes(
    open_with: Any, open_another: Callable[[], Awaitable[Store]]
) -> None:
    first = await open_with()
    first.audit.begin("n1")
    first.audit.record(DENIED)
    await first.close()
    found = await acts(await open_another())
    assert [act.action for act in found] == ["process.started", "channel.subscribe", "process.stopped"]


async def fill(store: Store, store_url: str) -> Callable[[], Awaitable[None]]:
    """Leave the audit no room; gives what makes room again."""
    if store_url.startswith("sqlite"):

        async def bound(pages: int) -> None:
            # A bound of one connection, so it takes the store's own; less than there are means as many as there are.
            await store.audit._database.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))

        await bound(1)
        return lambda: bound(1_000_000)
    server = create_async_engine(make_url(store_url).set(drivername="postgresql+asyncpg"))
    refuse = "$$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$"
    function = f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS {refuse}"
    trigger = "CREATE TRIGGER full_now BEFORE INSERT ON audit_pending EXECUTE FUNCTION full_disk()"

    async def run(*statements: str) -> None:
        async with server.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    async def make_room() -> None:
        await run("DROP FUNCTION full_disk CASCADE")
        await server.dispose()

    await run(function, trigger)
    return make_room


async def test_where_it_is_full_changes_of_the_store_are_refused_and_denials_wait(open_with: Any, store_url: str) -> None:
    # L-11
    store = await open_with()
    make_room = await fill(store, store_url)
    stored = []
    with pytest.raises(StoreUnavailable):
        for number in range(1000):
            user = f"user-{number}"
            stored.append((await store.devices.register(Registration(user, Provider.FCM, f"{number}" * 900, "android"))).id)
    assert await store.devices.of_user(f"user-{len(stored)}") == []
    for number in range(50):
        store.audit.record(Act("channel.publish", decision=Decision.DENIED, details={"n": number, "text": "x" * 500}))
    await store.audit.change(Act("user.blocked", user="ben"))  # done all the same: it must not wait for the audit
    with pytest.raises(StoreUnavailable):
        await store.audit.settle()
    assert store.audit.statistics().queued == 51
    await make_room()
    assert len(await acts(store, decision="denied")) == 50
    assert await acts(store, action="user.*") == [Act("user.blocked", user="ben")]
    assert [act.resource for act in await acts(store, action="device.*")] == [f"device:{one}" for one in stored]
    await assert_whole(store)
    await store.close()


async def test_where_it_is_full_changes_elsewhere_are_refused_if_so_set(open_with: Any, store_url: str) -> None:  # L-11
    store = await open_with(on_failure="refuse")
    make_room = await fill(store, store_url)
    made = []
    with pytest.raises(StoreUnavailable):
        for number in range(1000):
            await store.audit.change(Act("user.blocked", user=f"ben-{number}", details={"text": "x" * 500}))
            made.append(f"ben-{number}")
    await make_room()
    assert [act.user for act in await acts(store)] == made
    await store.close()


WRITER = """
import asyncio, sys
from broker.audit import Act, Decision
from broker.devices import Registration
from broker.notification import Provider
from broker.store.store import open_store
from config.audit_settings import AuditSettings
from config.clock import SystemClock

async def main():
    store = await open_store(sys.argv[1], clock=SystemClock(), audit=AuditSettings(hmac_key=sys.argv[2], flush_interval=0.01))
    store.audit.begin("victim")
    for number in range(100000):
        store.audit.record(Act("channel.publish", f"channel:{number}", f"user-{number % 7}", Decision.DENIED))
        device = await store.devices.register(Registration(f"user-{number % 7}", Provider.FCM, f"t{number % 20}", "android"))
        print("device", device.id, flush=True)

asyncio.run(main())
"""


async def test_a_writer_that_is_killed_leaves_a_whole_chain_and_no_change_unrecorded(open_with: Any, store_url: str) -> None:
    for lines in (1, 20, 60):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, store_url, KEY, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
        )
        assert process.stdout is not None
        told: list[str] = []
        while len(told) < lines and (line := await process.stdout.readline()):
            told += [f"device:{device}" for device in re.findall(r"^device (\S+)$", line.decode().rstrip())]
        process.send_signal(signal.SIGKILL)
        await process.wait()
        store = await open_with(hmac_key=KEY)
        await assert_whole(store)
        resources = {act.resource for act in await acts(store, action="device.registered")}
        assert len(told) == lines
        assert set(told) <= resources
        await store.close()
