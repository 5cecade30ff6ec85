"""Topics on every database: who is subscribed, as a whole or by device, and what is left of them."""

import pytest

from broker.errors import BadInput, NotFound


async def members(store, topic="news"):
    return [(one.user, one.device_id) for one in await store.topics.subscribers(topic, limit=100)]


async def names(store, **wanted):
    return [topic.name for topic in await store.topics.find(limit=100, **wanted)]


async def test_a_topic_exists_from_its_creation_or_its_first_subscription(store):
    await store.topics.create("sport")
    await store.topics.subscribe("news", ["ann"])
    assert await names(store) == ["news", "sport"]
    assert await members(store, "sport") == []
    with pytest.raises(NotFound, match="topic not found"):
        await members(store, "weather")


async def test_repeats_change_nothing(store, clock):
    await store.topics.subscribe("news", ["ann", "bob", "ann"])
    (before, _) = await store.topics.subscribers("news", limit=10)
    clock.move(60)
    await store.topics.create("news")
    await store.topics.subscribe("news", ["ann", "cid"])
    assert await members(store) == [("ann", ""), ("bob", ""), ("cid", "")]
    assert (await store.topics.subscribers("news", limit=1))[0] == before
    await store.topics.unsubscribe("news", ["bob", "bob", "nobody", "\ud800"])
    await store.topics.unsubscribe("news", ["bob"])
    assert await members(store) == [("ann", ""), ("cid", "")]


async def test_who_may_not_create_is_told_that_there_is_no_such_topic(store):
    with pytest.raises(NotFound):
        await store.topics.subscribe("news", ["ann"], creates=False)
    assert await names(store) == []
    await store.topics.create("news")
    await store.topics.subscribe("news", ["ann"], creates=False)
    assert await members(store) == [("ann", "")]


async def test_only_a_users_own_devices_are_subscribed(store, pipeline):
    phone, other = await pipeline.register("ann"), await pipeline.register("bob")
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    for device_id in (other.id, "gone", "\0"):
        with pytest.raises(BadInput, match="device: must be a device of the user"):
            await store.topics.subscribe("news", ["ann"], device_id=device_id)
    assert await members(store) == [("ann", phone.id)]


async def test_a_device_leaves_alone_and_a_user_with_all_of_theirs(store, pipeline):
    phone, tablet = [await pipeline.register("ann") for _ in range(2)]
    for device_id in (phone.id, tablet.id, ""):
        await store.topics.subscribe("news", ["ann"], device_id=device_id)
    await store.topics.unsubscribe("news", ["ann"], device_id=phone.id)
    assert await members(store) == [("ann", ""), ("ann", tablet.id)]
    await store.topics.unsubscribe("news", ["ann"])
    assert await members(store) == []


async def test_lists_come_in_pages(store, pipeline):
    phone = await pipeline.register("bob")
    await store.topics.subscribe("news", ["ann", "bob", "cid"])
    await store.topics.subscribe("news", ["bob"], device_id=phone.id)
    pages, after = [], ("", "")
    while page := await store.topics.subscribers("news", after=after, limit=2):
        pages.append([(one.user, one.device_id) for one in page])
        after = pages[-1][-1]
    assert pages == [[("ann", ""), ("bob", "")], [("bob", phone.id), ("cid", "")]]
    for topic in ("a", "b", "c"):
        await store.topics.create(topic)
    assert [topic.name for topic in await store.topics.find(after="a", limit=2)] == ["b", "c"]


async def test_a_users_topics_are_listed_once_each(store, pipeline):
    phone = await pipeline.register("ann")
    await store.topics.subscribe("sport", ["ann", "bob"])
    await store.topics.subscribe("news", ["ann"])
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    assert await names(store, user="ann") == ["news", "sport"]
    assert await names(store, user="ann", after="news") == ["sport"]
    assert await names(store, user="cid") == []


async def test_a_removed_topic_is_gone_at_once_and_cleared_in_pieces(store):
    users = [f"user-{number:02}" for number in range(25)]
    await store.topics.subscribe("news", users)
    await store.topics.remove("news")
    for call in (store.topics.remove("news"), members(store), store.topics.unsubscribe("news", ["ann"])):
        with pytest.raises(NotFound):
            await call
    assert await names(store, user="user-01") == []
    await store.topics.subscribe("news", ["ann"])
    assert [await store.topics.sweep(limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert await members(store) == [("ann", "")], "a new topic by the same name begins empty, and stays as it is"


async def test_subscriptions_of_an_erased_user_go_with_them(store, pipeline):
    phone = await pipeline.register("ann")
    await store.topics.subscribe("news", ["ann", "bob"])
    await store.topics.subscribe("news", ["ann"], device_id=phone.id)
    counts = await store.erasure.erase("ann")
    assert counts["topic_subscribers"] == 2
    assert await members(store) == [("bob", "")]


async def test_what_no_database_keeps_is_refused_or_nobodys(store):
    for topic, user in (("a\0b", "ann"), ("news", "\ud800")):
        with pytest.raises(BadInput):
            await store.topics.subscribe(topic, [user])
    assert await names(store, user="\0") == []
    assert await names(store, after="\ud800") == []
    with pytest.raises(NotFound):
        await store.topics.remove("\0")


async def test_those_who_subscribe_at_the_same_time_make_one_topic(store, open_another, together):
    other = await open_another()
    answers = await together(*(one.topics.subscribe("news", [f"u{number}"]) for number in range(6) for one in (store, other)))
    assert answers == [None] * 12
    assert await members(store) == [(f"u{number}", "") for number in range(6)]
    assert await names(store) == ["news"]
