"""The port PubSub, sentence by sentence; publishing rules of PROTOCOL §5.1 and §8.2."""

import asyncio

import msgspec
import pytest

from broker.model import ClientInfo, Join, Leave, Position, Publication, PublishOptions

NOTHING_KEPT = PublishOptions()


async def test_a_subscribed_channel_receives_what_is_published(engine, inbox):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish("news", Publication(b'"hello"'), NOTHING_KEPT)
    assert await inbox.wait("news", 1) == [Publication(b'"hello"')]


async def test_a_channel_that_is_not_subscribed_stays_silent(engine, inbox):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish("other", Publication(b"1"), NOTHING_KEPT)
    await engine.pubsub.publish("news", Publication(b"2"), NOTHING_KEPT)
    await inbox.wait("news", 1)
    assert inbox.of("other") == []


async def test_nothing_is_missed_once_subscribe_has_returned_again(engine, inbox):
    for number in range(3):
        await engine.pubsub.subscribe("news")
        await engine.pubsub.publish("news", Publication(b"%d" % number), NOTHING_KEPT)
        await inbox.wait("news", number + 1)
        await engine.pubsub.unsubscribe("news")
    assert [message.data for message in inbox.of("news")] == [b"0", b"1", b"2"]


async def test_subscribing_twice_delivers_once(engine, inbox):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish("news", Publication(b"1"), NOTHING_KEPT)
    await engine.pubsub.publish("news", Publication(b"2"), NOTHING_KEPT)
    assert [message.data for message in await inbox.wait("news", 2)] == [b"1", b"2"]


async def test_an_unsubscribed_channel_ends(engine, inbox):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.subscribe("fence")
    await engine.pubsub.unsubscribe("news")
    await engine.pubsub.publish("news", Publication(b"1"), NOTHING_KEPT)
    await engine.pubsub.publish("fence", Publication(b"2"), NOTHING_KEPT)
    await inbox.wait("fence", 1)
    assert inbox.of("news") == []


async def test_unsubscribing_what_was_not_subscribed_is_no_error(engine):
    await engine.pubsub.unsubscribe("news")


async def test_publishing_where_nobody_listens_is_no_error(engine, kept):
    assert (await engine.pubsub.publish("news", Publication(b"1"), kept())).position.offset == 1


async def test_one_channels_messages_come_in_the_order_of_their_offsets(engine, inbox, kept):
    await engine.pubsub.subscribe("news")
    for number in range(20):
        await engine.pubsub.publish("news", Publication(b"%d" % number), kept(size=5))
    messages = await inbox.wait("news", 20)
    assert [message.offset for message in messages] == list(range(1, 21))
    assert [message.data for message in messages] == [b"%d" % number for number in range(20)]


async def test_calls_for_one_channel_are_carried_out_in_the_order_in_which_they_were_begun(engine, inbox, kept):
    ways = [kept(), NOTHING_KEPT, kept(idempotency_key="a"), PublishOptions(idempotency_key="b", idempotency_ttl_s=60)]
    channels = [f"news-{number}" for number in range(5)]
    for channel in channels:
        await engine.pubsub.subscribe(channel)
    sent = [(b"%d" % number, way) for number, way in enumerate((*ways, *ways[:2]) * 10)]
    calls = []
    for number, (data, way) in enumerate(sent):
        if way.idempotency_key:
            way = msgspec.structs.replace(way, idempotency_key=str(number))
        calls += [engine.pubsub.publish(channel, Publication(data), way) for channel in channels]
    await asyncio.gather(*calls)
    for channel in channels:
        assert [message.data for message in await inbox.wait(channel, len(sent))] == [data for data, _ in sent]


async def test_what_is_delivered_carries_the_position_that_the_publisher_got(engine, inbox, kept):
    await engine.pubsub.subscribe("news")
    published = await engine.pubsub.publish("news", Publication(b"1"), kept())
    [message] = await inbox.wait("news", 1)
    assert Position(message.offset, message.epoch) == published.position
    assert not published.suppressed


async def test_publisher_info_and_tags_arrive(engine, inbox, kept):
    info = ClientInfo("42", "c1", b'{"name":"Ann"}', b'{"role":"host"}')
    await engine.pubsub.subscribe("news")
    for options in (NOTHING_KEPT, kept()):
        await engine.pubsub.publish("news", Publication(b"1", info=info, tags={"lang": "de"}), options)
    for message in await inbox.wait("news", 2):
        assert message.info == info
        assert dict(message.tags) == {"lang": "de"}


@pytest.mark.parametrize("data", [b"{}", b'{"text":"Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x94\x86"}', b"\x00\xff\n\r", b"x" * 100_000])
async def test_payload_bytes_arrive_and_stay_as_they_were(engine, inbox, kept, data):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish("news", Publication(data), kept())
    [message] = await inbox.wait("news", 1)
    [past] = (await engine.history.read("news", since=None, limit=-1)).publications
    assert message.data == past.data == data


@pytest.mark.parametrize("channel", ["a", "$private:room#1,2", "ключ", "with space", "x" * 255, "{tag}:*?[a]"])
async def test_any_channel_name_is_taken_literally(engine, inbox, kept, channel):
    await engine.pubsub.subscribe(channel)
    await engine.pubsub.publish(channel, Publication(b"1"), kept())
    assert len(await inbox.wait(channel, 1)) == 1
    assert (await engine.history.read(channel, since=None, limit=0)).top.offset == 1


# Streams (PROTOCOL §5.1.3 and §5.1.4)


async def test_offsets_rise_by_one_from_one_in_one_epoch(engine, kept):
    positions = [(await engine.pubsub.publish("news", Publication(b"1"), kept())).position for _ in range(3)]
    assert [position.offset for position in positions] == [1, 2, 3]
    assert len({position.epoch for position in positions}) == 1
    assert positions[0].epoch


async def test_channels_count_each_by_itself(engine, kept):
    first = await engine.pubsub.publish("news", Publication(b"1"), kept())
    second = await engine.pubsub.publish("chat", Publication(b"1"), kept())
    assert first.position.offset == second.position.offset == 1
    assert first.position.epoch != second.position.epoch


@pytest.mark.parametrize("options", [PublishOptions(), PublishOptions(history_size=5), PublishOptions(history_ttl_s=5.0)])
async def test_without_history_there_is_no_offset_and_positions_do_not_move(engine, inbox, kept, options):
    await engine.pubsub.subscribe("news")
    before = (await engine.pubsub.publish("news", Publication(b"1"), kept())).position
    assert (await engine.pubsub.publish("news", Publication(b"2"), options)).position == Position(0, "")
    past = await engine.history.read("news", since=None, limit=-1)
    assert [publication.data for publication in past.publications] == [b"1"]
    assert past.top == before
    [_, message] = await inbox.wait("news", 2)
    assert (message.data, message.offset) == (b"2", 0)


# Idempotency (PROTOCOL §8.2)


async def test_a_repeated_key_publishes_nothing_and_answers_the_first_position(engine, inbox, kept):
    await engine.pubsub.subscribe("news")
    first = await engine.pubsub.publish("news", Publication(b"1"), kept(idempotency_key="k"))
    await engine.pubsub.publish("news", Publication(b"2"), kept())
    again = await engine.pubsub.publish("news", Publication(b"3"), kept(idempotency_key="k"))
    assert again.position == first.position
    assert (first.suppressed, again.suppressed) == (False, True)
    await engine.pubsub.publish("news", Publication(b"4"), kept())
    assert [message.data for message in await inbox.wait("news", 3)] == [b"1", b"2", b"4"]


async def test_a_key_counts_without_history_too(engine, inbox):
    await engine.pubsub.subscribe("news")
    options = PublishOptions(idempotency_key="k")
    first = await engine.pubsub.publish("news", Publication(b"1"), options)
    again = await engine.pubsub.publish("news", Publication(b"2"), options)
    await engine.pubsub.publish("news", Publication(b"3"), NOTHING_KEPT)
    assert first.position == again.position == Position(0, "")
    assert again.suppressed
    assert [message.data for message in await inbox.wait("news", 2)] == [b"1", b"3"]


async def test_a_key_counts_per_channel(engine, kept):
    await engine.pubsub.publish("news", Publication(b"1"), kept(idempotency_key="k"))
    assert not (await engine.pubsub.publish("chat", Publication(b"1"), kept(idempotency_key="k"))).suppressed


async def test_a_key_counts_for_its_time(engine, kept, pass_time):
    options = kept(ttl_s=1000.0, idempotency_key="k")
    await engine.pubsub.publish("news", Publication(b"1"), options)
    await pass_time(299)
    assert (await engine.pubsub.publish("news", Publication(b"2"), options)).suppressed
    await pass_time(1)
    second = await engine.pubsub.publish("news", Publication(b"3"), options)
    assert (second.suppressed, second.position.offset) == (False, 2)
    await pass_time(299)
    assert (await engine.pubsub.publish("news", Publication(b"4"), options)).position.offset == 2


# Versions (PROTOCOL §8.2)


@pytest.mark.parametrize(
    ("held", "offered", "passes"),
    [
        ((5, ""), (6, ""), True),
        ((5, ""), (5, ""), False),
        ((5, ""), (4, ""), False),
        ((5, "a"), (4, "a"), False),
        ((5, "a"), (6, "a"), True),
        ((5, "a"), (4, ""), False),  # no epoch of its own: judged by the number
        ((5, "a"), (1, "b"), True),  # another epoch always passes
        ((5, ""), (1, "b"), True),
        ((5, "a"), (0, ""), True),  # no version: not judged
        ((0, ""), (1, ""), True),
    ],
)
async def test_a_version_that_the_stream_has_passed_is_dropped(engine, inbox, kept, held, offered, passes):
    await engine.pubsub.subscribe("news")
    first = await engine.pubsub.publish("news", Publication(b"1"), kept(version=held[0], version_epoch=held[1]))
    second = await engine.pubsub.publish("news", Publication(b"2"), kept(version=offered[0], version_epoch=offered[1]))
    assert second.suppressed is not passes
    assert second.position == Position(2 if passes else 1, first.position.epoch)
    assert (await engine.history.read("news", since=None, limit=0)).top == second.position
    await engine.pubsub.publish("news", Publication(b"3"), NOTHING_KEPT)
    expected = [b"1", b"2", b"3"] if passes else [b"1", b"3"]
    assert [message.data for message in await inbox.wait("news", len(expected))] == expected


async def test_a_publish_without_version_resets_the_last_one(engine, kept):
    for version, is_suppressed in ((5, False), (5, True), (0, False), (1, False), (1, True)):
        published = await engine.pubsub.publish("news", Publication(b"1"), kept(version=version))
        assert published.suppressed is is_suppressed


async def test_versions_outlive_the_publications(engine, kept):
    await engine.pubsub.publish("news", Publication(b"1"), kept(version=5))
    await engine.history.remove("news")
    assert (await engine.pubsub.publish("news", Publication(b"2"), kept(version=5))).suppressed


async def test_versions_do_not_count_without_history(engine, kept):
    await engine.pubsub.publish("news", Publication(b"1"), kept(version=5))
    assert not (await engine.pubsub.publish("news", Publication(b"2"), PublishOptions(version=1))).suppressed
    assert (await engine.pubsub.publish("news", Publication(b"3"), kept(version=5))).suppressed


async def test_a_key_of_a_dropped_version_answers_the_same_again(engine, kept):
    await engine.pubsub.publish("news", Publication(b"1"), kept(version=5))
    dropped = await engine.pubsub.publish("news", Publication(b"2"), kept(version=5, idempotency_key="k"))
    await engine.pubsub.publish("news", Publication(b"3"), kept(version=6))
    again = await engine.pubsub.publish("news", Publication(b"4"), kept(version=7, idempotency_key="k"))
    assert again == dropped


# Join and leave


async def test_join_and_leave_reach_the_subscribed_channel_in_order_and_no_stream(engine, inbox, kept, make_info):
    info = make_info()
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish("news", Publication(b"1"), kept())
    await engine.pubsub.publish_membership("news", Join(info))
    await engine.pubsub.publish_membership("news", Leave(info))
    assert (await inbox.wait("news", 3))[1:] == [Join(info), Leave(info)]
    past = await engine.history.read("news", since=None, limit=-1)
    assert [publication.data for publication in past.publications] == [b"1"]
    assert past.top.offset == 1


async def test_join_and_leave_of_other_channels_stay_away(engine, inbox, make_info):
    await engine.pubsub.subscribe("news")
    await engine.pubsub.publish_membership("chat", Join(make_info()))
    await engine.pubsub.publish_membership("news", Join(make_info()))
    await inbox.wait("news", 1)
    assert inbox.of("chat") == []
